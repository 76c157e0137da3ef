// Implements the finding of marks.
#include "marks.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace faultline::simulator {

namespace {

using Points = std::vector<std::string>;

// What zombies, repeats, lost answers, waits and so on came to.
constexpr const char *history_marks[] = {
    "zombie refused: complete",
    "zombie refused: complete_many",
    "zombie refused: turn",
    "zombie refused: fail",
    "zombie refused: extend",
    "zombie refused: release",
    "zombie refused: apply_ledger",
    "zombie refused: apply_and_complete",
    "late but not taken over: accepted",
    "taken over after expiry",
    "repeated complete",
    "repeated fail",
    "repeated release",
    "repeated key",
    "key with another request",
    "lost answer: enqueue took effect",
    "lost answer: enqueue did not",
    "lost answer: complete found by a repeat",
    "lost answer: claim expired",
    "lost answer: commit",
    "waited, then went on",
    "waited, then stale",
    "waited for a key",
    "statement cancelled",
    "queued job cancelled",
    "running job asked to stop",
    "extend told to stop",
    "stopped by fail",
    "stopped by expiry",
    "dead letter: attempts used up",
    "dead letter: discarded",
    "dead letter: by expiry",
    "redriven",
    "redriven job succeeded",
    "effect applied",
    "effect existed",
    "effect of another content refused",
    "completion without effect refused",
    "failed transaction refused",
    "insufficient funds",
    "failed after its effect: succeeded",
    "expired after its effect: succeeded",
    "effect reversed",
    "claim rolled back",
    "enqueue rolled back",
    "completion rolled back",
    "lease expired",
    "lease ended: the clock was set back",
    "max_runtime reached",
    "serialization failure",
    "prepared transaction committed",
    "prepared transaction rolled back",
    "prepare refused after a claim",
    "claim and completion in one transaction refused",
};

// Recorded while the run goes on.
constexpr const char *run_marks[] = {
    "savepoint taken back",
    "statement of a lost client ended",
    "claim beside a held call",
    "expiry beside a held call",
    "server down while leases are held",
    "server killed at a debug point",
    "statement timed out at a debug point",
};

class Finder {
  public:
    Finder(const History &history, const FinalState &final_state) : final_(final_state) {
        for (const Event &event : history.events()) {
            if (event.decided != 0) {
                in_order_.push_back(&event);
            }
        }
        std::sort(in_order_.begin(), in_order_.end(), [](const Event *left, const Event *right) {
            return left->decided < right->decided;
        });
    }

    std::set<std::string> run() {
        for (const Event *event : in_order_) {
            look_at_error(*event);
            if (event->ending == Ending::ok && event->fate == Fate::committed) {
                look_at_answer(*event);
            } else if (event->ending == Ending::ok && event->fate == Fate::aborted) {
                look_at_rollback(*event);
            } else if (event->ending == Ending::info) {
                look_at_doubt(*event);
            }
            for (const Grant &grant : event->answer.grants) {
                granted_.insert(grant.token);
            }
        }
        look_at_end();
        for (const std::string &error : final_.errors_of_expiry) {
            mark(error);
        }
        return std::move(marks_);
    }

  private:
    void mark(const std::string &name) { marks_.insert(name); }

    void look_at_error(const Event &event) {
        const Op op = event.call.op;
        const std::map<std::string, const char *> by_code = {
            {"JQ003", "key with another request"},
            {"JQ004", "extend told to stop"},
            {"JQ007", "effect of another content refused"},
            {"JQ008", "completion without effect refused"},
            {"JQ012", "claim and completion in one transaction refused"},
            {"JQ013", "failed transaction refused"},
            {"JQ014", "insufficient funds"},
            {"40001", "serialization failure"},
            {"57014", "statement cancelled"},
            {"0A000", "prepare refused after a claim"}};
        const auto known = by_code.find(event.sqlstate);
        if (known != by_code.end()) {
            mark(known->second);
        }
        if (event.sqlstate != "JQ001") {
            return;
        }
        if (event.was_blocked) {
            mark("waited, then stale");
        }
        for (const Item &item : event.call.items) {
            if (granted_.contains(item.token) && current_[item.job] != item.token) {
                mark(fmt::format("zombie refused: {}", name_of(op)));
            }
        }
    }

    void look_at_answer(const Event &event) {
        const Op op = event.call.op;
        if (event.was_blocked) {
            mark("waited, then went on");
            if (op == Op::enqueue && !event.call.jobs.front().key.empty()) {
                mark("waited for a key");
            }
        }
        for (const Grant &grant : event.answer.grants) {
            look_at_grant(event, grant);
        }
        for (std::size_t place = 0; place < event.answer.verdicts.size(); ++place) {
            look_at_verdict(event, event.answer.verdicts[place],
                            place < event.call.items.size() ? event.call.items[place] : Item{});
        }
        if (event.answer.verdicts.empty() && !event.call.items.empty()) {
            look_at_word(event, event.call.items.front(), event.answer.word);
        }
        if (op == Op::extend) {
            ends_[event.call.items.front().token] = event.answer.count;
        }
        if (op == Op::reverse_transaction) {
            mark("effect reversed");
        }
        if (op == Op::commit_prepared || op == Op::rollback_prepared) {
            mark(op == Op::commit_prepared ? "prepared transaction committed"
                                           : "prepared transaction rolled back");
        }
        for (std::size_t number = 0; number < event.call.jobs.size(); ++number) {
            const std::string &key = event.call.jobs[number].key;
            if (!key.empty() && !keys_.insert(key).second) {
                mark("repeated key");
            }
        }
    }

    void look_at_grant(const Event &event, const Grant &grant) {
        const std::int64_t before = current_[grant.job];
        if (before != 0 && !ended_.contains(before) && event.at_us >= ends_[before]) {
            mark("taken over after expiry");
        }
        current_[grant.job] = grant.token;
        ends_[grant.token] = grant.ends_us;
    }

    void look_at_verdict(const Event &event, const Verdict &verdict, const Item &item) {
        const Op op = event.call.op;
        if (op == Op::cancel) {
            mark(verdict.verdict == "cancelled"          ? "queued job cancelled"
                 : verdict.verdict == "cancel_requested" ? "running job asked to stop"
                                                         : "");
        } else if (op == Op::redrive) {
            mark(verdict.verdict == "queued" ? "redriven" : "");
        } else {
            look_at_word(event, item, verdict.verdict);
        }
        if (verdict.verdict == "stale_lease" && granted_.contains(item.token) &&
            current_[item.job] != item.token) {
            mark(fmt::format("zombie refused: {}", name_of(op)));
        }
    }

    void look_at_word(const Event &event, const Item &item, const std::string &word) {
        const Op op = event.call.op;
        const bool fails = op == Op::fail || op == Op::fail_many;
        if (ends_attempt(op) && event.at_us > ends_[item.token] &&
            (word == "succeeded" || word == "retrying" || word == "applied")) {
            mark("late but not taken over: accepted");
        }
        if (word == "already_succeeded") {
            mark("repeated complete");
            if (doubtful_.contains(item.token)) {
                mark("lost answer: complete found by a repeat");
            }
        }
        if (word == "applied" || word == "exists") {
            mark(word == "applied" ? "effect applied" : "effect existed");
        }
        if (fails && word == "failed") {
            const bool discarded = event.call.detail.value("discard", false);
            mark(discarded ? "dead letter: discarded" : "dead letter: attempts used up");
        }
        if (fails && (word == "cancelled" || word == "succeeded")) {
            mark(word == "cancelled" ? "stopped by fail" : "failed after its effect: succeeded");
        }
        const bool ends = ends_attempt(op) && word != "exists" && word != "stale_lease";
        if (ends && !ended_.insert(item.token).second && (fails || op == Op::release)) {
            mark(fails ? "repeated fail" : "repeated release");
        }
    }

    void look_at_rollback(const Event &event) {
        if (!event.answer.grants.empty()) {
            mark("claim rolled back");
        }
        if (!event.answer.job_ids.empty()) {
            mark("enqueue rolled back");
        }
        if (event.answer.word == "succeeded") {
            mark("completion rolled back");
        }
    }

    void look_at_doubt(const Event &event) {
        if (event.call.op == Op::commit) {
            mark("lost answer: commit");
        }
        for (const Item &item : event.call.items) {
            doubtful_.insert(item.token);
        }
        for (const NewJob &job : event.call.jobs) {
            const bool there =
                std::any_of(final_.jobs.begin(), final_.jobs.end(),
                            [&](const FinalJob &present) { return present.label == job.label; });
            mark(there ? "lost answer: enqueue took effect" : "lost answer: enqueue did not");
        }
    }

    // What nobody was told stands in the log.
    void look_at_end() {
        std::set<std::int64_t> with_entry;
        for (const FinalEntry &entry : final_.entries) {
            with_entry.insert(entry.job);
        }
        for (const LoggedStep &step : final_.steps) {
            if (step.to == 'r' && !granted_.contains(step.token)) {
                mark("lost answer: claim expired");
            }
            if (step.to == 's' && step.generation > 1) {
                mark("redriven job succeeded");
            }
            if (step.from != 'r' || ended_.contains(step.token) || doubtful_.contains(step.token)) {
                continue;
            }
            if (step.to == 's' && with_entry.contains(step.job)) {
                mark("expired after its effect: succeeded");
            }
            if (step.to == 'c' || step.to == 'f') {
                mark(step.to == 'c' ? "stopped by expiry" : "dead letter: by expiry");
            }
        }
    }

    const FinalState &final_;
    std::vector<const Event *> in_order_;
    std::map<std::int64_t, std::int64_t> current_; // job to the token last granted
    std::map<std::int64_t, std::int64_t> ends_;    // token to the end of its lease
    std::set<std::int64_t> granted_, ended_, doubtful_;
    std::set<std::string> keys_;
    std::set<std::string> marks_;
};

} // namespace

std::set<std::string> marks_of(const History &history, const FinalState &final_state) {
    std::set<std::string> marks = Finder(history, final_state).run();
    marks.erase("");
    return marks;
}

std::string point_mark(Fault fault, const std::string &point) {
    return fmt::format("{} {}", fault == Fault::hold_at_point ? "held at" : "ended at", point);
}

std::vector<std::string> points_of(Op op) {
    switch (op) {
    case Op::enqueue:
    case Op::enqueue_many:
        return {"enqueue_after_insert"};
    case Op::claim:
    case Op::claim_any:
        return {"claim_after_taking",     "claim_after_update",  "claim_after_update",
                "refill_before_snapshot", "refill_before_merge", "settle_before_update"};
    case Op::complete:
    case Op::complete_many:
        return {"complete_after_delete", "complete_after_archive"};
    case Op::turn:
        return {"complete_after_delete", "complete_after_archive", "claim_after_taking",
                "claim_after_update"};
    case Op::fail:
    case Op::fail_many:
        return {"fail_before_settle", "settle_before_update"};
    case Op::extend:
        return {"extend_before_memory", "extend_after_memory", "extend_after_update"};
    case Op::release:
        return {"settle_before_update", "release_after_update"};
    case Op::apply_ledger:
        return {"apply_before_entry", "apply_after_entry", "apply_after_state"};
    case Op::apply_and_complete:
        return {"apply_before_entry", "apply_after_entry", "apply_after_state",
                "apply_after_complete"};
    case Op::apply_and_complete_many:
        return {"apply_after_entry"};
    case Op::cancel:
        return {"cancel_after_update"};
    case Op::redrive:
        return {"redrive_after_insert"};
    case Op::expire_leases:
        return {"expire_after_lock", "expire_between_rows", "settle_before_update"};
    case Op::reconcile:
        return {"settle_before_update"};
    default:
        return {};
    }
}

std::vector<std::string> all_marks() {
    std::vector<std::string> marks(std::begin(history_marks), std::end(history_marks));
    marks.insert(marks.end(), std::begin(run_marks), std::end(run_marks));
    std::set<std::string> points = {"transaction_pre_commit"};
    for (std::size_t op = 0; op < op_count; ++op) {
        const Points of_op = points_of(static_cast<Op>(op));
        points.insert(of_op.begin(), of_op.end());
    }
    for (const std::string &point : points) {
        // A row's error does not end expiry, so there only the exits are seen.
        for (const Fault fault : {Fault::hold_at_point, Fault::exit_at_point}) {
            marks.push_back(point_mark(fault, point));
        }
    }
    return marks;
}

} // namespace faultline::simulator
