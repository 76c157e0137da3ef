// Owns the clients of a drill: producers and workers, a thread and a connection each. They lose
// connections and answers as clients do, connect again, and ask again until they are answered; what
// they were told is in the record.
#pragma once

#include "reconnecting_client.hpp"

#include <thread>
#include <vector>

namespace faultline::lab {

struct LoadOptions {
    std::string conninfo;
    std::string queue; // also the beginning of all transaction ids
    int producers = 2;
    int workers = 4;
    int batch = 4;              // jobs per claim
    int backlog_max = 200;      // producers wait while more jobs are not completed
    double jobs_per_second = 0; // of each producer; 0 for as many as they can
    bool fails_some = true;     // one job in ten fails at its first attempt
    bool may_forget = false;    // a failover forgets jobs, of which workers then hear JQ002
};

class Load {
  public:
    explicit Load(LoadOptions options);
    ~Load();

    // Where clients connect to when they connect next.
    void connect_to(const std::string &conninfo) { route_.lead_to(conninfo); }
    // While it is set, every attempt fails.
    void fail_attempts(bool always) { fails_always_ = always; }
    void stop_producers();
    // Until each client has its answer; the server has to be there.
    void stop();

    // From the moment until a job was claimed after it, and completed.
    double seconds_until_working(Clock::time_point fault);
    void await_completions(std::int64_t count);
    Record &record() { return record_; }
    const LoadOptions &options() const { return options_; }

  private:
    void produce(int number);
    void work(int number);
    void run_job(ReconnectingClient &client, const client::Job &job, Clock::time_point claim_begun);
    void apply(ReconnectingClient &client, const client::Job &job, bool completes);
    void complete(ReconnectingClient &client, const client::Job &job);

    const LoadOptions options_;
    Record record_;
    Route route_;
    std::atomic<bool> fails_always_ = false;
    std::atomic<bool> produces_ = true;
    std::atomic<bool> works_ = true;
    std::vector<std::jthread> producers_;
    std::vector<std::jthread> workers_;
};

} // namespace faultline::lab
