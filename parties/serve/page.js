'use strict';
const $ = (id) => document.getElementById(id);
const conversation = [];
let costs = [], running = null;

try { $('key').value = sessionStorage.getItem('key') || ''; } catch { /* no storage: the key lasts as long as the page */ }
$('key').addEventListener('change', () => {
  try { sessionStorage.setItem('key', $('key').value); } catch { /* as above */ }
  showState();
});

function headers() {
  const key = $('key').value.trim();
  return key ? { Authorization: 'Bearer ' + key } : {};
}

function bytes(n) {
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (n < 1000 || unit === 'GB') return (unit === 'B' ? n : n.toPrecision(3)) + ' ' + unit;
    n /= 1000;
  }
}
const seconds = (s) => (s < 1 ? (s * 1000).toFixed(s < 0.01 ? 1 : 0) + ' ms' : s.toFixed(2) + ' s');
const shown = { seconds, online_bytes: bytes, dealt_bytes: bytes, rounds: String };

function cells(row, texts) {
  texts.forEach((text, i) => {
    const cell = document.createElement(i === 0 ? 'th' : 'td');
    if (i === 0) cell.scope = 'row';
    cell.textContent = text;
    row.append(cell);
  });
  return row;
}

/* What the deployment is and how its links do. */
async function showState() {
  let ready = false, text;
  try {
    const health = await fetch('/health');
    ready = health.ok;
    text = ready ? 'ready' : (await health.json()).error.message;
    const answer = await fetch('/state', { headers: headers() });
    $('key-field').hidden = answer.status !== 401 && !$('key').value;
    if (answer.ok) fillState(await answer.json());
    else if (answer.status === 401) text += ' – an API key is needed';
  } catch {
    ready = false;
    text = 'the gateway does not answer';
  }
  $('health').className = ready ? 'good' : 'bad';
  if ($('health-text').textContent !== text) $('health-text').textContent = text;
}

function fillState(state) {
  const model = state.model, requests = state.requests;
  $('model').textContent = model.id;
  const most = $('max-tokens');
  most.max = model.context;
  if (Number(most.value) > model.context / 2) most.value = Math.max(Math.floor(model.context / 2), 1);
  $('f-model').textContent = model.architecture + ', ' + model.layers + ' layers';
  $('f-context').textContent = model.context + ' tokens';
  $('f-policy').textContent = model.policy;
  $('f-requests').textContent = requests.running + ' of ' + requests.running_limit + ' running, ' + requests.waiting + ' waiting';
  $('parties').replaceChildren(...state.parties.map((party) => cells(document.createElement('tr'), [
    party.name, party.connected ? 'connected' : 'not connected', party.round_trip_seconds ? seconds(party.round_trip_seconds) : '–',
    bytes(party.online_bytes), bytes(party.dealt_bytes)])));
}

function say(who, text) {
  const message = document.createElement('div'), name = document.createElement('b'), body = document.createElement('span');
  message.className = 'message ' + who;
  name.textContent = { user: 'You', assistant: 'Answer', error: 'Error' }[who];
  body.textContent = text;
  message.append(name, body);
  $('log').append(message);
  $('log').scrollTop = $('log').scrollHeight;
  return body;
}

/* One bar per token, the last 150 of them. The first token holds the prompt: its bar is cut off where it would hide the others. */
function draw() {
  const measure = document.querySelector('input[name=measure]:checked').value, last = costs.slice(-150), chart = $('chart');
  const values = last.map((cost) => cost[measure]), later = last.filter((cost) => cost.index > 0).map((cost) => cost[measure]);
  const top = Math.max(...(later.length > 0 ? later : values), 0), width = 300 / Math.max(values.length, 24);
  chart.replaceChildren(...values.map((value, i) => {
    const bar = document.createElementNS('http://www.w3.org/2000/svg', 'rect'), height = top > 0 ? Math.min(Math.max(90 * value / top, 1), 96) : 1;
    if (value > top) bar.setAttribute('class', 'over');
    for (const [name, number] of [['x', i * width + width * 0.1], ['y', 96 - height], ['width', width * 0.8], ['height', height]])
      bar.setAttribute(name, number.toFixed(2));
    return bar;
  }));
  $('chart-text').textContent = describe(shown[measure], measure, later);
}

function describe(f, measure, later) {
  if (costs.length === 0) return 'Nothing yet.';
  const first = 'The first token, with the prompt: ' + f(costs[0][measure]) + '.';
  if (later.length === 0) return first;
  const mean = Math.round(later.reduce((a, b) => a + b, 0) / later.length * 1e4) / 1e4;
  return first + ' The others: mean ' + f(measure === 'seconds' ? mean : Math.round(mean)) + ', highest ' + f(Math.max(...later)) + ', last ' +
    f(later[later.length - 1]) + '.';
}

const sum = (name) => costs.reduce((total, cost) => total + cost[name], 0);
function showCosts(total) {
  $('t-tokens').textContent = costs.length;
  $('t-seconds').textContent = (total ? total.waited_seconds + total.prompt_seconds + total.decode_seconds : sum('seconds')).toFixed(2);
  $('t-rounds').textContent = total ? total.rounds : sum('rounds');
  for (const [id, name] of [['t-online', 'online_bytes'], ['t-dealt', 'dealt_bytes'], ['t-client', 'client_bytes']])
    $(id).textContent = bytes(total ? total[name] : sum(name));
  draw();
}

function addCost(cost) {
  costs.push(cost);
  $('tokens').append(cells(document.createElement('tr'), [cost.index + 1, seconds(cost.seconds), cost.rounds, bytes(cost.online_bytes),
    bytes(cost.dealt_bytes), cost.shared_with ? cost.shared_with + ' more' : 'alone']));
  showCosts(null);
}

/* Events of the stream: comments say how far it is, data are chunks. Returns what choices[0] holds of text. */
function take(event) {
  let text = '';
  for (const line of event.split('\n')) {
    if (line.startsWith(':')) $('progress').textContent = line.slice(1).trim();
    if (!line.startsWith('data:') || line.slice(5).trim() === '[DONE]') continue;
    const chunk = JSON.parse(line.slice(5));
    if (chunk.error) throw new Error(chunk.error.message);
    const choice = (chunk.choices || [])[0];
    if (choice) text += (choice.delta ? choice.delta.content : choice.text) || '';
    if (chunk.cachet && choice && choice.finish_reason) showCosts(chunk.cachet);
    else if (chunk.cachet) {
      if (costs.length === 0) $('spoken').textContent = 'The answer begins.';
      addCost(chunk.cachet);
      $('progress').textContent = 'token ' + costs.length;
    }
  }
  return text;
}

async function readStream(response, body, chat) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = '', answer = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return answer;
    const events = (pending + value).split('\n\n');
    pending = events.pop();
    for (const event of events) answer += take(event);
    const log = $('log'), atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    body.textContent = chat ? answer.trimStart() : answer;
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
}

function body(prompt) {
  const request = { stream: true, max_tokens: Number($('max-tokens').value) || 64, temperature: Number($('temperature').value) || 0,
    top_p: Number($('top-p').value) || 1 };
  if ($('seed').value !== '') request.seed = Number($('seed').value);
  if ($('raw').checked) return ['/v1/completions', { ...request, prompt }];
  return ['/v1/chat/completions', { ...request, messages: [...conversation, { role: 'user', content: prompt }] }];
}

async function ask(prompt) {
  const [path, request] = body(prompt), message = say('user', prompt), answer = say('assistant', '');
  running = new AbortController();
  costs = [];
  $('tokens').replaceChildren();
  showCosts(null);
  $('send').disabled = true;
  $('stop').disabled = false;
  $('progress').textContent = 'sending';
  $('spoken').textContent = 'Asked.';
  try {
    const response = await fetch(path, { method: 'POST', signal: running.signal, body: JSON.stringify(request),
      headers: { 'Content-Type': 'application/json', 'X-Cachet-Costs': '1', ...headers() } });
    if (!response.ok) {
      if (response.status === 401) $('key-field').hidden = false;
      throw new Error((await response.json()).error.message);
    }
    const text = await readStream(response, answer, 'messages' in request);
    if (!$('raw').checked) conversation.push({ role: 'user', content: prompt }, { role: 'assistant', content: text });
    $('progress').textContent = 'done, ' + costs.length + ' tokens';
    $('spoken').textContent = 'Answer: ' + text;
  } catch (error) {
    const stopped = error.name === 'AbortError';
    $('progress').textContent = stopped ? 'stopped after ' + costs.length + ' tokens' : 'failed';
    $('spoken').textContent = stopped ? 'Stopped.' : 'Failed: ' + error.message;
    if (answer.textContent === '') answer.parentNode.remove();
    if (!stopped) say('error', error.message);
    if (!stopped && answer.textContent === '' && $('prompt').value === '') { $('prompt').value = prompt; message.parentNode.remove(); }
  }
  running = null;
  $('send').disabled = false;
  $('stop').disabled = true;
  $('prompt').focus();
}

$('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const prompt = $('prompt').value;
  if (running || prompt === '') return;
  $('prompt').value = '';
  ask(prompt);
});
$('prompt').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); $('form').requestSubmit(); }
});
$('stop').addEventListener('click', () => running && running.abort());
$('clear').addEventListener('click', () => {
  if (running) running.abort();
  conversation.length = 0;
  costs = [];
  $('tokens').replaceChildren();
  document.querySelectorAll('.message').forEach((message) => message.remove());
  showCosts(null);
  $('prompt').focus();
});
document.querySelectorAll('input[name=measure]').forEach((input) => input.addEventListener('change', draw));
showState();
setInterval(() => document.hidden || showState(), 3000);
