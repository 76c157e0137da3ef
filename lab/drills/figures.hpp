// Owns the figures of one drill, whether it passed, and how they are told: a line, JSON, a row of
// the table.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace faultline::lab {

struct Figures {
    std::string drill; // D05
    std::string title;
    std::int64_t faults = 0;               // each was seen to have happened
    std::int64_t acknowledged = 0;         // calls that were answered: jobs, entries, completions
    std::int64_t lost = 0;                 // of them: not to be found afterwards
    std::int64_t unexpected = 0;           // jobs and effects that nobody asked for
    std::int64_t duplicate_effects = 0;    // beyond the first of a job
    std::int64_t duplicate_executions = 0; // claims of a job beyond the first
    // Jobs that a fault left in the middle, and calls whose answer was lost, that came to their
    // end.
    std::int64_t recovered = 0;
    std::int64_t stale_rejected = 0; // writes of workers that had lost their job
    std::vector<double> recovery_seconds;
    std::vector<std::string> violations; // of invariants
    bool may_lose = false;               // a promotion of a standby that lags behind
    std::vector<std::string> failures;   // what else did not hold
    std::string skipped;                 // why, if so
    std::map<std::string, double> more;  // what this drill alone tells
    double seconds = 0;

    void expect(bool holds, const std::string &what);
};

// The smallest value that the share of all does not exceed; 0 when there is none.
double percentile(std::vector<double> values, double share);

bool is_passed(const Figures &figures);
std::string as_line(const Figures &figures);
std::string as_json(const Figures &figures);
std::string as_table(const std::vector<Figures> &drills);

} // namespace faultline::lab
