# What the tests on own clusters share: a node with the extension, error codes of statements, and
# the checks that end every test.
package FaultlineNode;

use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_node create_extension sqlstate sql_file invariants_hold log_is_clean
  background_call end_call);

my $root = $ENV{FAULTLINE_ROOT} // abs_path(dirname(__FILE__) . '/../..');

# new_node(NAME, init => {...}, conf => 'lines', extension => 0|1): a running cluster; the extension
# is created in its database postgres unless extension is 0.
sub new_node {
    my ($name, %option) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name);
    $node->init(%{ $option{init} // {} }, extra => [ '--locale=C', '--encoding=UTF8' ]);
    # Statements in the log would only hide what matters there.
    $node->append_conf('postgresql.conf', "log_statement = none\n" . ($option{conf} // ''));
    $node->start;
    create_extension($node) if $option{extension} // 1;
    return $node;
}

sub create_extension {
    my ($node, $database) = @_;
    $node->safe_psql($database // 'postgres', 'CREATE EXTENSION faultline');
    return;
}

# The code that a script raises first, or 00000.  connstr => '...' goes through something else than
# the node's socket; prelude => '...' runs first in the same session.
sub sqlstate {
    my ($node, $sql, %option) = @_;
    my ($status, $stdout, $stderr) = $node->psql(
        $option{database} // 'postgres',
        "\\set VERBOSITY sqlstate\n" . ($option{prelude} // '') . "\n$sql",
        on_error_stop => 1,
        extra_params  => [ '-v', 'SHOW_CONTEXT=never' ],
        $option{connstr} ? (connstr => $option{connstr}) : ());
    return '00000' if $status == 0;
    return $stderr =~ /(?:ERROR|FATAL):\s+(\w{5})\b/ ? $1 : "status $status: $stderr";
}

# Writes a script for psql or pgbench below the test's own folder and returns its path.
sub sql_file {
    my ($name, $text) = @_;
    my $path = PostgreSQL::Test::Utils::tempdir() . "/$name";
    open my $file, '>', $path or die "cannot write $path: $!";
    print $file $text;
    close $file or die "cannot write $path: $!";
    return $path;
}

# Starts a statement in a background session without waiting for its end.
sub background_call {
    my ($session, $sql) = @_;
    $session->query_until(qr/the call begins/, "\\echo the call begins\n$sql;\n");
    return;
}

# Waits for that statement; returns its output and its errors.
sub end_call {
    my ($session) = @_;
    my $output = $session->query('SELECT');
    my $errors = $session->{stderr};
    $session->{stderr} = '';
    return ($output, $errors);
}

sub invariants_hold {
    my ($node, $database, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is($node->safe_psql($database, 'SELECT * FROM faultline.check_invariants()'),
        '', $name // 'no invariant is violated');
}

# Ends a test: the log tells of no crash but the backends killed on purpose.
sub log_is_clean {
    my ($node, %option) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @killed = $option{killed} ? ('--killed', $option{killed}) : ();
    return PostgreSQL::Test::Utils::command_ok(
        [ "$root/scripts/check-server-log", @killed, $node->logfile ],
        'the log of ' . $node->name . ' tells of no crash'
          . ($option{killed} ? " but the $option{killed} announced" : ''));
}

1;
