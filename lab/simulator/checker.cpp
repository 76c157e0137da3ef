// Implements the checks of a history. What a call was answered counts only if it was committed;
// a call whose answer was lost may have taken effect or not.
#include "checker.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace faultline::simulator {

namespace {

using Lease = std::pair<std::int64_t, std::int64_t>; // job and token

bool took_effect(const Event &event) { return event.fate == Fate::committed; }

// It took effect, or nobody knows.
bool may_have_taken_effect(const Event &event) {
    return event.fate == Fate::committed || event.fate == Fate::unknown;
}

// What the call said of its item at this place, in one word; empty if it was refused.
std::string word_of(const Event &event, std::size_t place) {
    if (event.ending != Ending::ok) {
        return {};
    }
    if (!event.answer.verdicts.empty()) {
        return event.answer.verdicts.at(place).verdict;
    }
    return event.call.op == Op::release  ? "released"
           : event.call.op == Op::extend ? "extended"
                                         : event.answer.word;
}

bool is_success_word(const std::string &word) {
    return word == "succeeded" || word == "already_succeeded";
}

class Checker {
  public:
    Checker(History &history, const FinalState &final_state)
        : history_(history), final_(final_state) {
        for (const Event &event : history.events()) {
            if (event.decided != 0) {
                in_order_.push_back(&event);
            }
        }
        std::sort(in_order_.begin(), in_order_.end(), [](const Event *left, const Event *right) {
            return left->decided < right->decided;
        });
        for (const LoggedStep &step : final_.steps) {
            steps_of_lease_[{step.job, step.token}].push_back(&step);
        }
        for (const FinalJob &job : final_.jobs) {
            jobs_[job.job] = &job;
        }
    }

    Checked run() {
        check_writes();
        check_writers();
        check_claims();
        check_effects();
        check_keys();
        check_queue();
        check_reads();
        return std::move(checked_);
    }

  private:
    void found(const char *name, const Event *event, const std::string &detail) {
        checked_.violations.push_back(
            {name,
             event == nullptr
                 ? detail
                 : fmt::format("call {} ({}): {}", event->number, name_of(event->call.op), detail),
             event == nullptr ? 0 : event->step});
    }

    bool lease_ended_as(const Item &item, char state) const {
        const auto steps = steps_of_lease_.find({item.job, item.token});
        return steps != steps_of_lease_.end() &&
               std::any_of(steps->second.begin(), steps->second.end(), [&](const LoggedStep *step) {
                   return step->from == 'r' && step->to == state;
               });
    }

    bool has_entry(std::int64_t job) const {
        return std::any_of(final_.entries.begin(), final_.entries.end(),
                           [&](const FinalEntry &entry) { return entry.job == job; });
    }

    bool ended_by_fail(const Item &item) const {
        return std::any_of(final_.failed_attempts.begin(), final_.failed_attempts.end(),
                           [&](const Item &failed) {
                               return failed.job == item.job && failed.token == item.token;
                           });
    }

    // Whether the log has what the answer claims.
    bool answer_is_true(const Event &event, const Item &item, const std::string &word) const {
        switch (event.call.op) {
        case Op::complete:
        case Op::complete_many:
        case Op::turn:
            return lease_ended_as(item, 's');
        case Op::fail:
        case Op::fail_many:
            return word == "retrying"    ? lease_ended_as(item, 'q') && ended_by_fail(item)
                   : word == "failed"    ? lease_ended_as(item, 'f') && ended_by_fail(item)
                   : word == "cancelled" ? lease_ended_as(item, 'c')
                                         : lease_ended_as(item, 's') && has_entry(item.job);
        case Op::release:
            return lease_ended_as(item, 'q') || lease_ended_as(item, 'c') ||
                   (lease_ended_as(item, 's') && has_entry(item.job));
        case Op::apply_ledger:
        case Op::apply_and_complete:
            return has_entry(item.job);
        case Op::apply_and_complete_many:
            return is_success_word(word) ? lease_ended_as(item, 's') : has_entry(item.job);
        default:
            return steps_of_lease_.contains({item.job, item.token});
        }
    }

    static bool is_accepted(const std::string &word) {
        return is_success_word(word) || word == "retrying" || word == "failed" ||
               word == "cancelled" || word == "released" || word == "extended" ||
               word == "applied" || word == "exists";
    }

    // HIST_001 an accepted write carries the token in force; HIST_003 what was acknowledged is
    // there, whatever crashed since.
    void check_writes() {
        std::map<std::int64_t, std::int64_t> current; // token last granted, as far as is known
        std::map<std::int64_t, std::set<std::int64_t>>
            maybe; // granted, by a commit whose answer was lost
        std::map<std::int64_t, int> current_since;
        std::map<Lease, int> ended; // when
        for (const Event *event : in_order_) {
            for (const Grant &grant : event->answer.grants) {
                if (took_effect(*event)) {
                    current[grant.job] = grant.token;
                    current_since[grant.job] = event->decided;
                    maybe[grant.job].clear();
                } else if (event->fate == Fate::unknown) {
                    maybe[grant.job].insert(grant.token);
                }
            }
            if (!took_effect(*event)) {
                continue;
            }
            for (std::size_t place = 0; place < event->call.items.size(); ++place) {
                const Item &item = event->call.items[place];
                // cancel() and redrive() need no lease.
                const std::string word = item.token == 0 ? "" : word_of(*event, place);
                if (!is_accepted(word)) {
                    continue;
                }
                if (!answer_is_true(*event, item, word)) {
                    found(event->call.op == Op::extend ? "HIST_001" : "HIST_003", event,
                          fmt::format("{} of {} under {} is not in the log", word,
                                      history_.job_name(item.job),
                                      history_.token_name(item.token)));
                }
                // An extension in memory locks no row: it may have been decided when it began.
                const bool extends = word == "extended";
                const int decided = extends ? event->begun_after : event->decided;
                if ((extends || word == "applied") && current[item.job] != item.token &&
                    current_since[item.job] <= decided && !maybe[item.job].contains(item.token)) {
                    found("HIST_001", event,
                          fmt::format("{} under {}, in force was {}", word,
                                      history_.token_name(item.token),
                                      history_.token_name(current[item.job])));
                }
                const auto end = ended.find({item.job, item.token});
                if (extends && end != ended.end() && end->second <= decided) {
                    found("HIST_001", event, "extended a lease that had been ended");
                }
                if (ends_attempt(event->call.op) && word != "exists") {
                    ended.emplace(Lease{item.job, item.token}, event->decided);
                }
            }
        }
    }

    // The other way round: nothing ended a lease but a call with its token, or its expiry.
    void check_writers() {
        std::map<Lease, std::set<std::string>> callers;
        for (const Event &event : history_.events()) {
            if (may_have_taken_effect(event)) {
                for (const Item &item : event.call.items) {
                    callers[{item.job, item.token}].insert(std::string(name_of(event.call.op)));
                }
            }
        }
        const auto called = [&](const Lease &lease, std::initializer_list<const char *> ops) {
            return std::any_of(ops.begin(), ops.end(),
                               [&](const char *op) { return callers[lease].contains(op); });
        };
        for (const LoggedStep &step : final_.steps) {
            const Lease lease{step.job, step.token};
            if (step.from == 'r' && step.to == 's' && !has_entry(step.job) &&
                !called(lease, {"complete", "complete_many", "turn", "apply_and_complete_many"})) {
                found("HIST_001", nullptr,
                      fmt::format("{} succeeded under {}, which nobody completed",
                                  history_.job_name(step.job), history_.token_name(step.token)));
            }
        }
        for (const Item &item : final_.failed_attempts) {
            if (!called({item.job, item.token}, {"fail", "fail_many"})) {
                found("HIST_001", nullptr,
                      fmt::format("an attempt of {} under {} failed, which nobody said",
                                  history_.job_name(item.job), history_.token_name(item.token)));
            }
        }
    }

    // HIST_002 attempts of a job rise in the order of claims, tokens are granted once; and what was
    // claimed is in the log (HIST_003).
    void check_claims() {
        std::map<std::int64_t, int> attempts;
        std::set<std::int64_t> tokens;
        for (const Event *event : in_order_) {
            if (!took_effect(*event)) {
                continue;
            }
            for (const Grant &grant : event->answer.grants) {
                if (grant.attempt <= attempts[grant.job] || !tokens.insert(grant.token).second) {
                    found("HIST_002", event,
                          fmt::format("attempt {} of {} after {}", grant.attempt,
                                      history_.job_name(grant.job), attempts[grant.job]));
                }
                attempts[grant.job] = grant.attempt;
                if (!steps_of_lease_.contains({grant.job, grant.token})) {
                    found("HIST_003", event,
                          fmt::format("the claim of {} is not in the log",
                                      history_.job_name(grant.job)));
                }
            }
        }
    }

    // HIST_004 one `applied` for each job, whose transaction it is, and one entry in all answers.
    void check_effects() {
        std::map<std::int64_t, int> applied;
        std::map<std::int64_t, std::int64_t> entry_of_job;
        std::map<std::string, std::int64_t> entry_of_id;
        for (const FinalEntry &entry : final_.entries) {
            entry_of_job[entry.job] = entry.entry;
            entry_of_id[entry.transaction_id] = entry.entry;
        }
        for (const Event *event : in_order_) {
            const Answer &answer = event->answer;
            if (!took_effect(*event) || event->ending != Ending::ok || answer.entry_id == 0) {
                continue;
            }
            const Call &call = event->call;
            const std::int64_t job = call.items.empty() ? 0 : call.items.front().job;
            if (answer.word == "applied" && ++applied[job] > 1) {
                found("HIST_004", event,
                      fmt::format("{} was applied a second time", history_.job_name(job)));
            }
            const std::string id =
                (call.op == Op::reverse_transaction ? "r-" : "") + call.transaction_id;
            const std::int64_t entry = job != 0 ? entry_of_job[job] : entry_of_id[id];
            if (entry != answer.entry_id) {
                found(entry == 0 ? "HIST_003" : "HIST_004", event,
                      fmt::format("the entry of {} is not the one in the answer", id));
            }
        }
    }

    // HIST_005 a key stands for one job and one request.
    void check_keys() {
        std::map<std::string, std::pair<std::int64_t, std::string>> first;
        for (const Event *event : in_order_) {
            if (!took_effect(*event) || event->ending != Ending::ok) {
                continue;
            }
            for (std::size_t number = 0; number < event->call.jobs.size(); ++number) {
                const NewJob &job = event->call.jobs[number];
                const std::int64_t id = event->answer.job_ids.at(number);
                if (job.key.empty()) {
                    continue;
                }
                const auto [known, is_new] = first.emplace(job.key, std::pair(id, job.label));
                if (!is_new && known->second != std::pair(id, job.label)) {
                    found("HIST_005", event,
                          fmt::format("key {} gave {} for {}, before {} for {}", job.key,
                                      history_.job_name(id), job.label,
                                      history_.job_name(known->second.first),
                                      known->second.second));
                }
            }
        }
    }

    // HIST_006 nothing acknowledged is lost, nothing comes out that was not put in. After the run
    // every job has ended, so being there in the end is having come out.
    void check_queue() {
        std::map<std::string, int> attempted, acknowledged, present;
        for (const Event &event : history_.events()) {
            for (const NewJob &job : event.call.jobs) {
                attempted[job.label] += may_have_taken_effect(event) ? 1 : 0;
                const bool acked = took_effect(event) && event.ending == Ending::ok;
                acknowledged[job.label] += acked ? 1 : 0;
                checked_.account.acknowledged += acked ? 1 : 0;
            }
        }
        for (const FinalJob &job : final_.jobs) {
            ++present[job.label];
        }
        for (const auto &[label, count] : acknowledged) {
            // Repeats of a key are acknowledged with the same job.
            const int wanted = label.front() == 's' ? count : std::min(count, 1);
            if (present[label] < wanted) {
                checked_.account.lost += wanted - present[label];
                found("HIST_006", nullptr,
                      fmt::format("{}: {} acknowledged, {} there", label, wanted, present[label]));
            }
        }
        for (const auto &[label, count] : present) {
            if (count == 0) {
                continue;
            }
            const int possible =
                label.front() == 's' ? attempted[label] : std::min(attempted[label], 1);
            if (attempted[label] == 0) {
                ++checked_.account.unexpected;
                found("HIST_006", nullptr, fmt::format("{} was never put in", label));
            } else if (count > possible) {
                checked_.account.duplicated += count - possible;
                found("HIST_006", nullptr, fmt::format("{} is there {} times", label, count));
            }
            checked_.account.recovered += std::max(0, count - acknowledged[label]);
        }
        for (const Event *event : in_order_) {
            if (took_effect(*event) && event->ending == Ending::ok) {
                for (const std::int64_t id : event->answer.job_ids) {
                    if (!jobs_.contains(id)) {
                        found("HIST_003", event, fmt::format("{} is gone", history_.job_name(id)));
                    }
                }
            }
        }
    }

    // HIST_007 what was read does not go back.
    void check_reads() {
        std::map<std::int64_t, JobSeen> last;
        const auto compare = [&](const Event *event, const JobSeen &seen) {
            const auto known = last.find(seen.job);
            if (known != last.end()) {
                const JobSeen &before = known->second;
                const bool was_final = before.state == "succeeded" || before.state == "cancelled";
                if (seen.attempt < before.attempt || (was_final && seen.state != before.state)) {
                    found("HIST_007", event,
                          fmt::format("{} was {} after {} attempts and is {} after {}",
                                      history_.job_name(seen.job), before.state, before.attempt,
                                      seen.state, seen.attempt));
                }
            }
            last[seen.job] = seen;
        };
        for (const Event &event : history_.events()) {
            // A transaction sees what others do not, or what was.
            if (took_effect(event) && event.transaction == 0) {
                for (const JobSeen &seen : event.answer.seen) {
                    compare(&event, seen);
                }
            }
        }
        for (const FinalJob &job : final_.jobs) {
            compare(nullptr, {job.job, job.state, job.attempt});
        }
    }

    History &history_;
    const FinalState &final_;
    std::vector<const Event *> in_order_;
    std::map<Lease, std::vector<const LoggedStep *>> steps_of_lease_;
    std::map<std::int64_t, const FinalJob *> jobs_;
    Checked checked_;
};

} // namespace

Checked check_history(History &history, const FinalState &final_state) {
    return Checker(history, final_state).run();
}

bool error_is_expected(const Event &event) {
    static const std::set<std::string> always = {
        "JQ001", "JQ002", "JQ012", // lost, never there, claimed in this very transaction
        "38000", "57014",          // a debug point, a cancelled statement
    };
    static const std::map<std::string, std::set<Op>> by_op = {
        {"JQ003", {Op::enqueue, Op::enqueue_many}},
        {"JQ004", {Op::extend}},
        {"JQ006", {Op::reverse_transaction}},
        {"JQ007",
         {Op::enqueue, Op::enqueue_many, Op::apply_ledger, Op::apply_and_complete,
          Op::reverse_transaction}},
        {"JQ008", {Op::complete}},
        {"JQ013", {Op::apply_ledger, Op::apply_and_complete, Op::reverse_transaction}},
        {"JQ014", {Op::apply_ledger, Op::apply_and_complete, Op::reverse_transaction}},
        {"22023", {Op::reverse_transaction}},                    // no such transaction
        {"0A000", {Op::prepare}},                                // it has claimed or extended
        {"42704", {Op::commit_prepared, Op::rollback_prepared}}, // ended before, answer lost
    };
    if (always.contains(event.sqlstate)) {
        return true;
    }
    if (event.sqlstate == "40001") {
        return event.snapshot;
    }
    const auto ops = by_op.find(event.sqlstate);
    return ops != by_op.end() && ops->second.contains(event.call.op);
}

} // namespace faultline::simulator
