// Owns the words in which scenarios are written and histories are told: one call of a queue a line,
// such as "claim a w1 max=2 -> 1/1@30 2/1@30".
//
// Jobs are named by the order of their enqueueing, leases as job/attempt, times in seconds since
// the beginning. So all implementations, whatever their ids and tokens are, must answer the same.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace faultline::conformance {

struct Held {
    int job = 0;
    int attempt = 0;
};

struct Verb {
    std::string name;
    std::vector<std::string> words;             // what it is about, in order
    std::map<std::string, std::string> options; // NAME=VALUE, or NAME alone
    std::optional<std::string> expected;        // by a scenario

    bool has(const std::string &option) const { return options.contains(option); }
    std::optional<std::int64_t> number(const std::string &option) const;
    std::optional<std::int64_t> microseconds(const std::string &option) const; // given in seconds
    // The first word as a list.
    std::vector<std::string> list() const;
    std::vector<Held> held() const;
};

Verb parse_verb(const std::string &line);
std::string text_of(const Verb &verb);
std::vector<std::string> split(const std::string &text, char mark);
std::string seconds_text(std::int64_t microseconds);

// A queue system: answers one call, in the words that all of them share; errors by their SQLSTATE.
class QueuePort {
  public:
    virtual ~QueuePort() = default;
    virtual const char *name() const = 0;
    // Nothing is left of what was before.
    virtual void start_over() = 0;
    virtual std::string call(const Verb &verb) = 0;
    // Every job and every ended attempt, a line each.
    virtual std::string rows() = 0;
};

} // namespace faultline::conformance
