// Owns what was called and what was answered, in order. Jobs, tokens and entries are named by the
// rank of their first appearance, so that the lines of two runs of one seed are the same.
#pragma once

#include "faultline/parameters.hpp"
#include "words.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace faultline::simulator {

// A job and the token under which a call acts on it.
struct Item {
    std::int64_t job = 0;
    std::int64_t token = 0;
};

// A job that a call brings: the label is in its payload and decides all of the request.
struct NewJob {
    std::string label;
    std::string key; // empty: none
    bool declares = false;
};

struct Call {
    Op op = Op::claim;
    std::string sql;
    client::Parameters parameters;
    std::vector<Item> items;
    std::vector<NewJob> jobs;
    std::string transaction_id; // of the ledger
    nlohmann::json detail = nlohmann::json::object();
    Fault careless = Fault::none; // a repeated call, a wrong token
};

struct Grant {
    std::int64_t job = 0;
    std::int64_t token = 0;
    int attempt = 0;
    std::int64_t ends_us = 0;
    std::string label;
    std::string transaction_id; // empty: the job declares no effect
};

struct Verdict {
    std::int64_t job = 0;
    std::string verdict;
};

struct JobSeen {
    std::int64_t job = 0;
    std::string state;
    int attempt = 0;
};

struct Answer {
    std::vector<Grant> grants;
    std::vector<Verdict> verdicts;
    std::vector<std::int64_t> job_ids;
    std::vector<JobSeen> seen;
    std::int64_t entry_id = 0;
    std::int64_t count = 0;
    std::string word; // the one verdict of a call, or a state
};

enum class Ending { pending, ok, fail, info };
enum class Fate { open, committed, aborted, unknown };

struct Event {
    int number = 0;
    int step = 0;
    std::int64_t at_us = 0;
    int actor = 0;
    Call call;
    Answer answer;
    Ending ending = Ending::pending;
    std::string sqlstate;
    std::vector<Fault> faults;
    int transaction = 0;   // of several calls; 0: the call is one by itself
    bool snapshot = false; // at REPEATABLE READ or SERIALIZABLE
    bool was_blocked = false;
    Fate fate = Fate::open;
    int decided = 0;     // the place in the order in which fates were decided
    int begun_after = 0; // the last fate that was decided when the call began
};

class History {
  public:
    Event &begin(int step, std::int64_t at_us, int actor, const std::string &actor_name, Call call);
    void end(Event &event, Ending ending, Fate fate);
    void decide(Event &event, Fate fate);
    // Of all calls of a transaction that are still open.
    void decide_transaction(int transaction, Fate fate);
    // A call whose effects a savepoint took back.
    void abort_since(int transaction, int event_number);

    std::deque<Event> &events() { return events_; }
    const std::deque<Event> &events() const { return events_; }
    const std::vector<std::string> &lines() const { return lines_; }
    std::uint64_t hash() const;
    void note(const nlohmann::json &line) { lines_.push_back(line.dump()); }

    std::string job_name(std::int64_t job);
    std::string token_name(std::int64_t token);
    std::string entry_name(std::int64_t entry);

  private:
    nlohmann::json arguments_of(const Call &call);
    nlohmann::json result_of(const Event &event);

    std::deque<Event> events_; // a place stays where it is
    std::vector<std::string> actor_names_;
    std::vector<std::string> lines_;
    std::map<std::int64_t, int> job_ranks_, token_ranks_, entry_ranks_;
    int decided_ = 0;
};

} // namespace faultline::simulator
