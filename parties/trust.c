#include "parties/trust.h"

#include "kvcache/policy.h"
#include "parties/leakage.h"

static const char introduction[] =
    "# Who learns what\n\n"
    "This page is printed by `cachet check --trust`; a test compares the two. Why it holds, operation by operation: `mpc/SECURITY.md`.\n\n"
    "Every value of a computation is masked: m = x + l1 + l2. P1 holds (m, l1), P2 holds (m, l2), P0 holds "
    "(l1, l2). **Any one of the three may look at\n"
    "everything it holds and receives, and learns what the table says. Any two together learn everything**: "
    "weights, prompt and answer. All three are\n"
    "assumed to follow the protocol (semi-honest); one that does not may spoil an answer. The client notices "
    "when P1 and P2 open different values to it, and when a\n"
    "guard reports that a value has left its range, and no more than that.\n\n";

static const char parties[] =
    "## Parties\n\n"
    "| who | holds | learns | must not collude with |\n|---|---|---|---|\n"
    "| P0 (mode three-party) | the masks of weights, activations and inputs | what is public (below) | P1, "
    "P2 |\n"
    "| dealer (mode two-party-with-dealer) | the same as P0: the same protocol under the name of a dealer, "
    "who holds masks only | what is public | P1, P2 |\n"
    "| nobody (mode two-party) | there is no P0: P1 and P2 make its part with each other, under the assumptions of `pair/README.md` | | |\n"
    "| P1, P2 | masked values and one half of each mask | what is public | each other, P0 |\n"
    "| client | its prompt and answer; the keys of its own input masks | what is opened to it (below): "
    "logits of the asked rows, or the chosen token | P1, P2 |\n"
    "| model owner | the model, in the clear; makes plan and shares and may leave then | nothing of any "
    "request | |\n\n"
    "During a run of requests P0 receives nothing but the first request, the other parties' confirmation that they "
    "have the same one, the client's orders (which\n"
    "request takes a step next, which ones begin and end, and that the run is over), and P1's and P2's word that they "
    "have left the run. A client is assumed to follow\n"
    "the protocol, too: one that sends P1 and P2 different inputs or orders, or inputs that are no tokens, can learn "
    "functions of weights and of their masks from\n"
    "what is opened to it, and must not collude with P1 or P2.\n\n";

static const char public_facts[] =
    "## Public by design, to all three parties and to whoever watches the network's timing\n\n"
    "- the model's shape and family, the numeric plan, the cache policy and its sizes, the context limit;\n"
    "- of each request: that it is made, by which client, the number of prompt tokens, the number of new "
    "tokens, the largest number asked for, whether\n"
    "  tokens are chosen inside, how many cached rows are made up (none, unless the parties were started for "
    "benchmarks), and the timing of its steps (a\n"
    "  client that takes time between tokens shows how much); which requests of a client share steps, and after which "
    "layer a step was left in its middle;\n"
    "- in mode two-party: which requests were prepared for (their lengths), when, how many wait, and which request used one; each client may ask for more;\n"
    "- P1 and P2 compute on masked values m in a time that may depend on m, which is uniform to everybody "
    "but P0: P0 must not be able to measure how long\n"
    "  single rounds of P1 and P2 take. It hears of the end of a run; a client that works with it hears of each step, and "
    "of each layer of a prompt: 16 rounds and more;\n"
    "- nothing else: number, order, direction and size of all frames are the same for any two requests that "
    "agree in these (a test).\n\n"
    "## What the numeric plan publishes\n\n"
    "Whole numbers only, functions of the weights and of the calibration text. Per layer:\n"
    "\n"
    "- the bit lengths of the largest magnitudes of its wires on the calibration text (with a margin), and the binary logarithms of the typical, smallest\n"
    "  and largest mean square before its norms;\n"
    "- of attention: for each head its ceiling, the largest score seen and a margin, in sixteenths of a nat; whether its scores are measured from zero,\n"
    "  from the row's own score or from a maximum found on shares; and which of two ranges it has. For the layer the two ranges, the headroom: how many bits\n"
    "  the smallest row maximum seen lies below its ceiling, and a bound of what the weights of a row sum to;\n"
    "- of the MLP: which of two spans the activation's input keeps to, or neither;\n"
    "- of a model with LayerNorm, once: the binary logarithms of the smallest and largest mean square after the last layer;\n"
    "- for cache policies: for each KV head how much it repeats and copies on random tokens and how much it changes the residual by what lies beyond a\n"
    "  window, in ten thousandths, and for the layer 16 points of how its attention is spread over the rows of the calibration text.\n"
    "\n"
    "The widths and gates follow from these. The model's digest in the plan lets whoever has a candidate for the model check it.\n"
    "\n"
    "A value that leaves its range on shares wraps and spoils the answer. Guards watch scores, the sums of their weights, the mean squares before norms and the\n"
    "inputs of activations: if one left its range the client learns that the answer is void (entry guard), one bit per step. It is a function of the ranges in\n"
    "the plan, of the weights, of its own prompt and, for a score or an activation's input within one cell of the end of its range, of the masks. It does not\n"
    "say which value it was, how many, where, or by how much. P1 and P2 hold random words, drawn from a key that neither P0 nor the client may learn, and learn\n"
    "nothing from them. A client that finds its answer void feeds its prompt to the end and then stops, as after a last token: where answers never end early\n"
    "(`--ignore-eos`, or a model without an end token) the early end may tell the parties that the answer was void.\n"
    "Requests that share a step whose guard reports a value end together, which may tell them as much.\n"
    "\n"
    "A score more than its whole range away, or an activation's input several times its span away, may alias back into the range; and other\n"
    "wires, which have a bit or more of margin, wrap silently: the plaintext twin counts them (`--compare`).\n"
    "\n";

void trust_print(FILE *out)
{
    (void)fputs(introduction, out);
    (void)fputs(parties, out);
    (void)fputs("## Values that leave the shares\n\nOne function per receiver opens values, and each call "
                "names an entry of this registry; parties count what they open and report it.\n\n",
                out);
    leakage_print_registry(out);
    (void)fputs(public_facts, out);
    (void)fputs("## Cache policies\n\n| policy | what it reveals |\n|---|---|\n", out);
    for (const struct kv_policy *const *policy = kv_policy_list(); *policy != NULL; policy++)
        (void)fprintf(out, "| %s | %s |\n", (*policy)->name, (*policy)->leakage);
}
