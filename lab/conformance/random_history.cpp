// Implements the making up of calls. What a call is about is drawn from what may be there (the last
// jobs, their first attempts), not from what is there, so that a call stays what it is when those
// before it are left out.
#include "random_history.hpp"

#include <fmt/format.h>
#include <random>

namespace faultline::conformance {

namespace {

constexpr int jobs_recent = 14;
constexpr int attempts_recent = 3;

class Author {
  public:
    Author(std::uint64_t seed, int calls, bool expire_at_once)
        : random_(seed), calls_(calls), expire_at_once_(expire_at_once) {}

    std::vector<Verb> write() {
        for (const char *queue : {"a", "b"}) {
            say(fmt::format("queue {} lease={} attempts={} backoff={} backoff_max=60 "
                            "max_runtime={} keep_keys={}",
                            queue, chance(500) ? 30 : 5, 1 + below(4), below(3) * 5,
                            chance(300) ? 60 : 0, chance(500) ? 100'000'000 : 100));
        }
        while (static_cast<int>(verbs_.size()) < calls_) {
            next();
        }
        if (in_transaction_) {
            say("commit");
        }
        return std::move(verbs_);
    }

  private:
    int below(int count) { return static_cast<int>(random_() % static_cast<unsigned>(count)); }
    bool chance(int per_mille) { return below(1000) < per_mille; }
    void say(const std::string &line) { verbs_.push_back(parse_verb(line)); }
    std::string option(const char *name, int per_mille, int value) {
        return chance(per_mille) ? fmt::format(" {}={}", name, value) : "";
    }
    // Once in a while one that does not exist.
    const char *queue() { return chance(15) ? "missing" : chance(650) ? "a" : "b"; }

    int job() {
        const int first = std::max(1, jobs_ - jobs_recent);
        return chance(20) ? 999 : first + below(std::max(1, jobs_ - first + 1));
    }
    std::string jobs() {
        std::string list = std::to_string(job());
        while (chance(300)) {
            list += fmt::format(",{}", job());
        }
        return list;
    }
    std::string lease() {
        const int attempt = chance(650) ? 1 : 1 + below(attempts_recent);
        return fmt::format("{}/{}", job(), attempt);
    }
    std::string leases() {
        std::string list = lease();
        const int more = below(5);
        for (int number = 0; number < more; ++number) {
            list += ',' + lease();
        }
        return list;
    }

    void next() {
        if (in_transaction_ && chance(150)) {
            end_transaction();
        } else if (chance(270)) {
            produce();
        } else if (chance(320)) {
            claim();
        } else if (chance(450)) {
            end_attempt();
        } else if (chance(500)) {
            pass_time();
        } else {
            operate();
        }
    }

    void end_transaction() {
        if (has_savepoint_ && chance(400)) {
            say("rollback_to");
            return;
        }
        say(chance(500) ? "commit" : "rollback");
        in_transaction_ = has_savepoint_ = false;
    }

    void produce() {
        const std::string more = option("delay", 200, 1 + below(40)) +
                                 option("priority", 250, below(5) - 2) +
                                 option("attempts", 150, 1 + below(4));
        if (chance(700)) {
            say(fmt::format("enqueue {} p{}{}{}", queue(), below(3),
                            chance(250) ? fmt::format(" key=k{}", below(4)) : "", more));
            ++jobs_;
            return;
        }
        std::string items;
        const int count = 1 + below(4);
        for (int number = 0; number < count; ++number) {
            items += fmt::format("{}p{}{}", items.empty() ? "" : ",", below(2),
                                 chance(300) ? fmt::format(":k{}", below(4)) : "");
        }
        jobs_ += count;
        say(fmt::format("enqueue_many {} {}{}", queue(), items, more));
    }

    void claim() {
        const std::string more =
            option("max", 500, 1 + below(4)) + option("lease", 200, 1 + below(90));
        const char *lists[] = {"a,b", "b,a", "b", "a,missing"};
        if (chance(150)) {
            say(fmt::format("claim_any {} w{}{}", lists[below(chance(100) ? 4 : 3)], below(3),
                            more));
        } else {
            say(fmt::format("claim {} w{}{}", queue(), below(3), more));
        }
    }

    void end_attempt() {
        switch (below(10)) {
        case 0:
        case 1:
            say("complete " + lease());
            break;
        case 2:
            say("complete_many " + leases());
            break;
        case 3:
        case 4:
            say("fail " + lease() + (chance(150) ? " discard" : option("retry", 300, below(50))));
            break;
        case 5:
            say("fail_many " + leases());
            break;
        case 6:
            say("extend " + lease() + option("lease", 300, 1 + below(90)));
            break;
        case 7:
            say("extend_many " + leases() + option("lease", 300, 1 + below(90)));
            break;
        default:
            say("release " + lease() + option("delay", 300, below(50)));
            break;
        }
        if (chance(100)) {
            verbs_.push_back(verbs_.back()); // the same again
        }
    }

    // Alone in its transaction: the clock is shared.
    void pass_time() {
        if (in_transaction_) {
            return;
        }
        constexpr int steps[] = {1, 3, 6, 6, 31, 31, 61, 400, -2, -20, -3'700, -90'000, 90'000};
        say(fmt::format("advance {}", steps[below(13)]));
        const bool expires = chance(500);
        if (expires || expire_at_once_) {
            say("expire");
        }
    }

    void operate() {
        switch (below(8)) {
        case 0:
        case 1:
            say("cancel " + jobs());
            break;
        case 2:
            say("redrive " + jobs() + option("delay", 200, 5));
            break;
        case 3:
            say(fmt::format("redrive_queue {}{}", queue(), option("max", 500, 1 + below(3))));
            break;
        case 4:
            say(fmt::format("{} {}", chance(300) ? "pause" : "resume", chance(500) ? "a" : "b"));
            break;
        case 5:
            say(chance(500) ? "expire_keys"
                            : fmt::format("purge {} older={}", chance(500) ? "a" : "b", below(60)));
            break;
        default:
            if (!in_transaction_) {
                say("begin");
                in_transaction_ = true;
            } else if (!has_savepoint_) {
                say("savepoint");
                has_savepoint_ = true;
            }
            break;
        }
    }

    std::mt19937_64 random_;
    const int calls_;
    const bool expire_at_once_;
    std::vector<Verb> verbs_;
    int jobs_ = 0; // at most
    bool in_transaction_ = false, has_savepoint_ = false;
};

} // namespace

std::vector<Verb> random_history(std::uint64_t seed, int calls, bool expire_at_once) {
    return Author(seed, calls, expire_at_once).write();
}

} // namespace faultline::conformance
