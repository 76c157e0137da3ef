// Implements producers and workers. A call whose answer was lost is repeated under the same key,
// token and transaction id, until somebody says what became of it.
#include "load.hpp"

#include "drill_job.hpp"

#include <fmt/format.h>

namespace faultline::lab {

namespace {

using client::Api;
using client::Connection;
using client::Error;
using client::ErrorCode;
using client::Job;
using client::Verdict;

constexpr int fails_one_job_in = 10;

client::Lease lease_of(const Job &job) { return {job.job_id, job.lease_token}; }

bool is_stale(const Error &error, bool may_forget) {
    return error.code() == ErrorCode::stale_lease ||
           (may_forget && error.code() == ErrorCode::unknown_job);
}

} // namespace

Load::Load(LoadOptions options) : options_(std::move(options)), route_(options_.conninfo) {
    for (int number = 0; number < options_.producers; ++number)
        producers_.emplace_back(
            [this, number] { run_recorded(route_, record_, [this, number] { produce(number); }); });
    for (int number = 0; number < options_.workers; ++number)
        workers_.emplace_back(
            [this, number] { run_recorded(route_, record_, [this, number] { work(number); }); });
}

Load::~Load() {
    route_.abandon();
    stop();
}

void Load::stop_producers() {
    produces_ = false;
    producers_.clear();
}

void Load::stop() {
    stop_producers();
    works_ = false;
    workers_.clear();
}

double Load::seconds_until_working(Clock::time_point fault) {
    poll_until("work to go on", [&] { return record_.is_working_since(fault); });
    return seconds_since(fault);
}

void Load::await_completions(std::int64_t count) {
    const std::int64_t enough = record_.completed() + count;
    poll_until(fmt::format("{} completions", count), [&] {
        record_.throw_if_failed();
        return record_.completed() >= enough;
    });
}

void Load::produce(int number) {
    ReconnectingClient client(route_, record_, fmt::format("drill-producer-{}", number));
    const Clock::time_point start = Clock::now();
    for (std::int64_t job = 0; produces_; ++job) {
        const double due =
            options_.jobs_per_second > 0 ? static_cast<double>(job) / options_.jobs_per_second : 0;
        while (produces_ &&
               (record_.unfinished() >= options_.backlog_max || seconds_since(start) < due))
            pause_shortly();
        const std::string id = fmt::format("{}-{}-{}", options_.queue, number, job);
        record_.attempt(id);
        bool took_effect_unheard = false;
        const std::int64_t job_id =
            client.until_answered("enqueue", [&](Connection &connection, bool doubt) {
                Api api(connection);
                if (doubt) {
                    const auto status = api.transaction_status(id);
                    took_effect_unheard = status && status->job_id;
                    if (took_effect_unheard)
                        return *status->job_id;
                }
                return api.enqueue(options_.queue, "{}", id, {}, effect_declaration(id));
            });
        record_.enqueue(id, job_id);
        if (took_effect_unheard)
            record_.recover(1);
    }
}

void Load::work(int number) {
    const std::string name = fmt::format("drill-worker-{}", number);
    ReconnectingClient client(route_, record_, name);
    while (works_) {
        const Clock::time_point claim_begun = Clock::now();
        const std::vector<Job> jobs =
            client.until_answered("claim", [&](Connection &connection, bool) {
                return Api(connection).claim(options_.queue, name, options_.batch);
            });
        for (const Job &job : jobs)
            run_job(client, job, claim_begun);
        if (jobs.empty())
            poll(nullptr, 0, idle_milliseconds);
    }
}

void Load::run_job(ReconnectingClient &client, const Job &job, Clock::time_point claim_begun) {
    const bool fails = fails_always_ || (options_.fails_some && job.attempt == 1 &&
                                         job.job_id % fails_one_job_in == 0);
    try {
        if (fails) {
            client.until_answered("fail", [&](Connection &connection, bool) {
                return Api(connection).fail(lease_of(job), "the drill wants it to fail");
            });
            return;
        }
        if (job.kind == job_with_charge)
            client.until_answered("charge", [&](Connection &connection, bool) {
                return charge_outside(connection, job);
            });
        const bool in_one_call = job.job_id % 2 == 0;
        apply(client, job, in_one_call);
        if (!in_one_call)
            complete(client, job);
        record_.complete(job.effect->transaction_id, job.job_id, claim_begun);
    } catch (const Error &error) {
        if (!is_stale(error, options_.may_forget))
            throw;
        record_.reject_stale();
    }
}

// The entry in a call of its own, or in the one that completes the job.
void Load::apply(ReconnectingClient &client, const Job &job, bool completes) {
    const client::Applied applied =
        client.until_answered("apply", [&](Connection &connection, bool) {
            client::Transaction transaction(connection);
            const client::Applied answer = apply_with_own_row(connection, job, completes);
            transaction.commit();
            return answer;
        });
    record_.apply(job.effect->transaction_id, applied.entry_id);
    if (client.was_in_doubt() && applied.verdict == Verdict::exists)
        record_.recover(1);
}

void Load::complete(ReconnectingClient &client, const Job &job) {
    const Verdict verdict = client.until_answered("complete", [&](Connection &connection, bool) {
        return Api(connection).complete(lease_of(job));
    });
    if (client.was_in_doubt() && verdict == Verdict::already_succeeded)
        record_.recover(1);
}

} // namespace faultline::lab
