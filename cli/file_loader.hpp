// Owns the loading of parsed lines in batches, and the judgement on each line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "commands.hpp"
#include "ndjson.hpp"

namespace faultline::cli {

// A batch is sent early when its payloads reach this size: the server builds one array of it.
inline constexpr std::size_t batch_bytes_max = 8UL * 1024 * 1024;

struct LoadFigures {
    std::int64_t lines_read = 0;
    std::int64_t enqueued = 0;
    std::int64_t deduplicated = 0; // accepted, and the job was there already
    std::vector<NdjsonReject> unparsable;
    std::vector<NdjsonReject> conflicts; // the key or transaction_id was used for something else
    std::vector<NdjsonReject> refused;   // by the server, for any other reason
};

class FileLoader {
  public:
    FileLoader(client::Connection &connection, const EnqueueFileOptions &options);

    void add(NdjsonLine line);
    // Sends what is left. To be called once, at the end.
    void finish() { send_batch(); }

    LoadFigures &figures() { return figures_; }
    // Up to here each line was enqueued, recognised or rejected for good; 0 = nowhere.
    std::int64_t last_line_settled() const { return last_line_settled_; }

  private:
    void send_batch();
    void send_together();
    void send_one_by_one();
    bool send_one(const NdjsonDocument &document, std::vector<std::int64_t> &job_ids);
    std::int64_t count_new(const std::vector<std::int64_t> &job_ids);
    void count_accepted(std::int64_t accepted, std::int64_t created);

    // Marks the jobs that this batch creates, in their headers, which are no part of the request
    // that an idempotency key stands for. So a returned id can be told to be new, whoever else
    // enqueues at the same time.
    std::string batch_mark() const;

    client::Connection &connection_;
    const EnqueueFileOptions &options_;
    const std::string load_id_;
    std::int64_t batch_number_ = 1;
    client::EnqueueOptions job_options_;
    std::vector<NdjsonDocument> batch_;
    std::size_t batch_bytes_ = 0;
    std::int64_t last_line_settled_ = 0;
    LoadFigures figures_;
};

} // namespace faultline::cli
