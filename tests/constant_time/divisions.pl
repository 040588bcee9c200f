# Memcheck does not see the operands of a division, whose time depends on them. So every division of the floors that compute on shares
# stands in a list, by its text, and a new one is a failure until somebody has looked at it.
#
# usage: divisions.pl SOURCE_ROOT LIST
use strict;
use warnings;

my ($root, $list) = @ARGV;
my @floors = qw(kernels mpc pair protocols kvcache);

# One operand: names, members, calls, indices and parentheses without a space between them, perhaps behind a cast.
my $round = qr/(?<round>\((?:[^()]++|(?&round))*+\))/;
my $square = qr/(?<square>\[(?:[^\[\]]++|(?&square))*+\])/;
my $operand = qr/(?:[A-Za-z0-9_.]|->|$round|$square)+/;

sub read_file {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!\n";
    local $/;
    return scalar <$file>;
}

sub divisions_of {
    my ($text) = @_;
    my %found;
    $text =~ s{/\*.*?\*/|//[^\n]*|^\s*#\s*include[^\n]*}{ }gsm;
    $text =~ s{"(?:[^"\\]|\\.)*"}{""}g;
    pos($text) = 0;
    while ($text =~ m{$operand\s*[/%]=?\s*(?<right>$operand)}g) {
        my ($division, $next) = ($&, $+[0] - length $+{right});
        pos($text) = $next; # the right operand may be the left one of another division
        $division =~ s/\s+/ /g;
        next if $division =~ m{[/%]=? (?:1|2|4|8|16|32|64|128)$} || $division =~ m{[/%] sizeof$}; # a shift; the count of an array
        $found{$division} = 1;
    }
    return %found;
}

# A control: what this must find, and what it must not.
my %control = divisions_of("/* a / b */ f(\"%d / n\", m->share[i] % (q + 1) / w, x / 8);\n");
die "divisions are not found\n" unless join(', ', sort keys %control) eq '(q + 1) / w, m->share[i] % (q + 1)';

my (%listed, %seen);
for my $line (split /\n/, read_file($list)) {
    $listed{$line} = 1 unless $line =~ /^\s*(?:#|$)/;
}
my @paths = map { glob("$root/$_/*.[ch] $root/$_/*/*.[ch]") } @floors;
die "no sources under $root\n" if @paths < 20;
my $failures = 0;
for my $path (@paths) {
    my %found = divisions_of(read_file($path));
    for my $division (sort keys %found) {
        $seen{$division} = 1;
        next if $listed{$division};
        print "$path: $division\n";
        $failures++;
    }
}
for my $division (sort keys %listed) {
    print "listed, but no longer there: $division\n" unless $seen{$division};
}
if ($failures > 0) {
    print "If both operands follow from public sizes and indices, put the text into $list; else compute it without a division.\n";
    exit 1;
}
print scalar(keys %seen), " divisions, all of them listed\n";
