// Owns what a history must satisfy (HIST_001 to HIST_007, and the account of a queue: lost,
// unexpected, duplicated, recovered), and which windows a run has come through (marks).
#pragma once

#include "calls.hpp"
#include "history.hpp"

#include <set>
#include <string>
#include <vector>

namespace faultline::simulator {

struct Violation {
    std::string name;
    std::string detail;
    int step = 0;
};

// How everything stands in the end, read from the tables.
struct FinalJob {
    std::int64_t job = 0;
    std::string state;
    int attempt = 0;
    std::string label;
    std::string key;
};

struct LoggedStep {
    std::int64_t job = 0;
    std::int64_t token = 0;
    int attempt = 0;
    int generation = 0;
    char from = ' '; // blank: a new job
    char to = ' ';
};

struct FinalEntry {
    std::int64_t entry = 0;
    std::int64_t job = 0;
    std::string transaction_id;
};

struct FinalState {
    std::vector<FinalJob> jobs;
    std::vector<LoggedStep> steps; // in the order of the log
    std::vector<FinalEntry> entries;
    std::vector<Item> failed_attempts;         // that fail() ended
    std::vector<std::string> errors_of_expiry; // each once: why leases ended
};

struct Account {
    int acknowledged = 0;
    int lost = 0;
    int unexpected = 0;
    int duplicated = 0;
    int recovered = 0;
};

struct Checked {
    std::vector<Violation> violations;
    Account account;
};

Checked check_history(History &history, const FinalState &final_state);

// Errors that a call may meet in a run; any other one is a violation.
bool error_is_expected(const Event &event);

} // namespace faultline::simulator
