// Owns clients that work in batches: jobs without effects in the ledger are enqueued many at a
// time, and run by turn(), with a row of the application's for each in the same transaction.
#pragma once

#include "drill_database.hpp"
#include "reconnecting_client.hpp"

#include "faultline/stop_signal.hpp"

#include <string>
#include <thread>
#include <vector>

namespace faultline::lab {

struct TurnLoadOptions {
    std::string conninfo;
    std::string queue; // also the beginning of all idempotency keys
    int workers = 2;
    int batch = 20;
    double jobs_per_second = 100;
};

// Of the total-queue checker of Jepsen: what went in against what came out.
struct TurnAccount {
    std::int64_t acknowledged = 0; // jobs whose enqueue was answered
    std::int64_t lost = 0;         // of these and of the completions that were answered
    std::int64_t unexpected = 0;   // run, and never asked for
    std::int64_t duplicates = 0;   // rows of the application's beyond the first of a job
    std::int64_t in_doubt = 0;     // calls whose answer was lost
};

class TurnLoad {
  public:
    // Makes the queue, and a table in the schema of the drill.
    TurnLoad(DrillDatabase &database, TurnLoadOptions options);
    ~TurnLoad();

    // Waits until every job has ended; the server has to be there.
    void finish(DrillDatabase &database);
    TurnAccount take_account(DrillDatabase &database);
    Record &record() { return record_; }

  private:
    void produce(const std::stop_token &stop);
    void work(int number);
    // With the rows of the application's, in one transaction.
    client::Turn take_turn(ReconnectingClient &client, const std::string &name,
                           const std::vector<client::Job> &done);
    void note(const client::Turn &turn, const std::vector<client::Job> &done,
              Clock::time_point begun);

    const TurnLoadOptions options_;
    Record record_;
    Route route_;
    client::StopSignal stop_;
    std::jthread producer_;
    std::vector<std::jthread> workers_;
};

} // namespace faultline::lab
