// Owns the exit codes of the program; scripts depend on them.
#pragma once

namespace faultline::cli {

enum ExitCode : int {
    exit_ok = 0,
    exit_findings = 1, // it ran, and found something to look at
    exit_usage = 2,
    exit_database = 3, // not reachable, or it refused
    exit_file = 4,
};

inline constexpr const char *exit_codes_text =
    "Exit codes: 0 all is well; 1 it ran and found something to look at (rejected lines, broken\n"
    "invariants, jobs that could not be redriven); 2 wrong usage; 3 the database could not be\n"
    "reached or refused; 4 the file could not be read.";

} // namespace faultline::cli
