// Implements the writing of the history.
#include "history.hpp"

#include "choice.hpp"

namespace faultline::simulator {

namespace {

using nlohmann::json;

constexpr std::string_view ending_names[] = {"invoke", "ok", "fail", "info"};
constexpr std::string_view fate_names[] = {"open", "committed", "aborted", "unknown"};

std::string ranked(std::map<std::int64_t, int> &ranks, char letter, std::int64_t value) {
    const auto [place, is_new] = ranks.emplace(value, static_cast<int>(ranks.size()) + 1);
    return letter + std::to_string(place->second);
}

} // namespace

std::string History::job_name(std::int64_t job) { return ranked(job_ranks_, 'J', job); }

std::string History::token_name(std::int64_t token) { return ranked(token_ranks_, 'T', token); }

std::string History::entry_name(std::int64_t entry) { return ranked(entry_ranks_, 'E', entry); }

Event &History::begin(int step, std::int64_t at_us, int actor, const std::string &actor_name,
                      Call call) {
    Event &event = events_.emplace_back();
    event.number = static_cast<int>(events_.size());
    event.step = step;
    event.begun_after = decided_;
    event.at_us = at_us;
    event.actor = actor;
    event.call = std::move(call);
    actor_names_.push_back(actor_name);
    note({{"i", event.number},
          {"step", step},
          {"t", at_us},
          {"actor", actor_name},
          {"op", name_of(event.call.op)},
          {"type", "invoke"},
          {"args", arguments_of(event.call)}});
    return event;
}

void History::end(Event &event, Ending ending, Fate fate) {
    event.ending = ending;
    json line = {{"i", event.number},
                 {"t", event.at_us},
                 {"actor", actor_names_[static_cast<std::size_t>(event.number - 1)]},
                 {"op", name_of(event.call.op)},
                 {"type", ending_names[static_cast<std::size_t>(ending)]}};
    if (!event.sqlstate.empty()) {
        line["sqlstate"] = event.sqlstate;
    }
    if (ending == Ending::ok) {
        line["result"] = result_of(event);
    }
    if (event.transaction != 0) {
        line["transaction"] = event.transaction;
    }
    if (event.was_blocked) {
        line["blocked"] = true;
    }
    for (const Fault fault : event.faults) {
        line["faults"].push_back(name_of(fault));
    }
    note(line);
    if (fate != Fate::open) {
        decide(event, fate);
    }
}

void History::decide(Event &event, Fate fate) {
    event.fate = fate;
    event.decided = ++decided_;
}

void History::decide_transaction(int transaction, Fate fate) {
    for (Event &event : events_) {
        if (event.transaction == transaction && event.fate == Fate::open) {
            decide(event, fate);
        }
    }
    note({{"transaction", transaction}, {"fate", fate_names[static_cast<std::size_t>(fate)]}});
}

void History::abort_since(int transaction, int event_number) {
    for (Event &event : events_) {
        if (event.transaction == transaction && event.number > event_number &&
            event.fate == Fate::open) {
            decide(event, Fate::aborted);
        }
    }
}

std::uint64_t History::hash() const {
    std::uint64_t hash = 0;
    for (const std::string &line : lines_) {
        hash = mixed(hash ^ hash_of(line));
    }
    return hash;
}

json History::arguments_of(const Call &call) {
    json arguments = call.detail;
    for (const Item &item : call.items) {
        json named = {{"job", job_name(item.job)}};
        if (item.token != 0) {
            named["token"] = token_name(item.token);
        }
        arguments["items"].push_back(std::move(named));
    }
    for (const NewJob &job : call.jobs) {
        json named = {{"label", job.label}};
        if (!job.key.empty()) {
            named["key"] = job.key;
        }
        arguments["jobs"].push_back(std::move(named));
    }
    if (!call.transaction_id.empty()) {
        arguments["transaction_id"] = call.transaction_id;
    }
    return arguments;
}

json History::result_of(const Event &event) {
    const Answer &answer = event.answer;
    json result = json::object();
    for (const Grant &grant : answer.grants) {
        result["grants"].push_back({{"job", job_name(grant.job)},
                                    {"token", token_name(grant.token)},
                                    {"attempt", grant.attempt},
                                    {"ends", grant.ends_us},
                                    {"label", grant.label}});
    }
    for (const Verdict &verdict : answer.verdicts) {
        result["verdicts"].push_back({job_name(verdict.job), verdict.verdict});
    }
    for (const std::int64_t job : answer.job_ids) {
        result["jobs"].push_back(job_name(job));
    }
    for (const JobSeen &seen : answer.seen) {
        result["seen"].push_back({job_name(seen.job), seen.state, seen.attempt});
    }
    if (answer.entry_id != 0) {
        result["entry"] = entry_name(answer.entry_id);
    }
    if (answer.count != 0) {
        result["count"] = answer.count;
    }
    if (!answer.word.empty()) {
        result["verdict"] = answer.word;
    }
    return result;
}

} // namespace faultline::simulator
