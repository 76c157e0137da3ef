# Prints the name and labels of each sample of a scrape in one order, without the values, so that
# two ways to scrape can be compared. What postgres_exporter adds, and what prometheus.yaml renames,
# is done here as Prometheus does it.
#
# Usage: perl ops/samples.pl <SCRAPE
use strict;
use warnings;

my @samples;
while (<STDIN>)
{
	next unless /^(faultline_\w+)(?:\{(.*)\})? \S+$/;
	my ($name, $list) = ($1, $2 // '');
	my %labels;
	while ($list =~ /(\w+)="((?:[^"\\]|\\.)*)"/g)
	{
		$labels{$1} = $2 if $2 ne '';
	}
	$name = delete $labels{metric} if $name eq 'faultline_sample';
	delete $labels{server};
	push @samples, join ' ', $name, map { "$_=\"$labels{$_}\"" } sort keys %labels;
}
print "$_\n" for sort @samples;
