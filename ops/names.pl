# Checks that what PromQL expressions name is there: each metric, each label, and each label value
# that must be equal. Prints what is missing, a line each.
#
# Usage: perl ops/names.pl METRICS-FILE <EXPRESSIONS    an expression a line: WHERE<tab>EXPRESSION
use strict;
use warnings;

my %labels;    # metric => label => value => 1
my $file = shift or die "usage: perl ops/names.pl METRICS-FILE <EXPRESSIONS\n";
open my $metrics, '<', $file or die "$file: $!\n";
while (<$metrics>)
{
	next unless /^([a-z]\w*)(?:\{(.*)\})? \S+$/;
	my ($name, $list) = ($1, $2 // '');
	$labels{$name} //= {};
	$labels{$name}{$1}{$2} = 1 while $list =~ /(\w+)="((?:[^"\\]|\\.)*)"/g;
}
die "$file has no samples\n" unless %labels;

while (my $line = <STDIN>)
{
	chomp $line;
	my ($where, $expression) = split /\t/, $line, 2;
	my @metrics;
	while ($expression =~ /\b(faultline_\w+)(?:\{([^}]*)\})?/g)
	{
		my ($name, $selector) = ($1, $2 // '');
		push @metrics, $name;
		if (!$labels{$name})
		{
			print "$where: there is no metric $name\n";
			next;
		}
		while ($selector =~ /(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g)
		{
			my ($label, $operator, $value) = ($1, $2, $3);
			if (!$labels{$name}{$label})
			{
				print "$where: $name has no label $label\n";
			}
			elsif ($operator eq '=' && !$labels{$name}{$label}{$value})
			{
				print "$where: no $name has $label=\"$value\"\n";
			}
		}
	}
	print "$where: names no metric of Faultline: $expression\n" unless @metrics;
	my @used = $expression =~ /\$labels\.(\w+)/g;
	push @used, split /\s*,\s*/, $1 while $expression =~ /\b(?:by|on)\s*\(([^)]*)\)/g;
	for my $label (@used)
	{
		for my $name (grep { $labels{$_} } @metrics)
		{
			print "$where: $name has no label $label\n" unless $labels{$name}{$label};
		}
	}
}
