// Owns the transactions of a load: a whole batch at once, or its lines one by one when the batch
// holds one that the server refuses.
#include "file_loader.hpp"

#include <random>
#include <set>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace faultline::cli {

namespace {

std::string random_id() {
    std::random_device random;
    return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

bool is_conflict(const client::Error &error) {
    return error.code() == client::ErrorCode::idempotency_conflict ||
           error.code() == client::ErrorCode::ledger_conflict;
}

// Errors about one line's content, which leave the other lines of its batch innocent.
bool concerns_one_line(const client::Error &error) {
    const std::string &state = error.sqlstate();
    return is_conflict(error) || state.starts_with("22") || state.starts_with("54");
}

} // namespace

FileLoader::FileLoader(client::Connection &connection, const EnqueueFileOptions &options)
    : connection_(connection), options_(options), load_id_(random_id()), job_options_(options.job) {
}

std::string FileLoader::batch_mark() const { return fmt::format("{}.{}", load_id_, batch_number_); }

void FileLoader::add(NdjsonLine line) {
    if (auto *reject = std::get_if<NdjsonReject>(&line)) {
        figures_.unparsable.push_back(std::move(*reject));
        return;
    }
    NdjsonDocument &document = std::get<NdjsonDocument>(line);
    batch_bytes_ += document.text.size();
    batch_.push_back(std::move(document));
    if (batch_.size() >= static_cast<std::size_t>(options_.batch) ||
        batch_bytes_ >= batch_bytes_max) {
        send_batch();
    }
}

void FileLoader::send_batch() {
    if (batch_.empty()) {
        return;
    }
    job_options_.headers = nlohmann::json{{"load", batch_mark()}}.dump();
    try {
        send_together();
    } catch (const client::Error &error) {
        if (!concerns_one_line(error)) {
            throw;
        }
        send_one_by_one();
    }
    last_line_settled_ = batch_.back().line_number;
    batch_.clear();
    batch_bytes_ = 0;
    ++batch_number_;
}

void FileLoader::send_together() {
    std::vector<std::optional<std::string>> payloads;
    std::vector<std::optional<std::string>> keys;
    std::vector<std::optional<std::string>> ledgers;
    for (const NdjsonDocument &document : batch_) {
        payloads.emplace_back(document.text);
        if (document.key) {
            keys.push_back(document.key);
        }
        if (options_.fields.ledger) {
            ledgers.push_back(document.ledger);
        }
    }
    client::Transaction transaction(connection_);
    const std::vector<std::int64_t> job_ids =
        client::Api(connection_)
            .enqueue_many(options_.queue, payloads, keys, job_options_, ledgers);
    const std::int64_t created = count_new(job_ids);
    transaction.commit();
    count_accepted(static_cast<std::int64_t>(job_ids.size()), created);
}

void FileLoader::send_one_by_one() {
    client::Transaction transaction(connection_);
    std::vector<std::int64_t> job_ids;
    for (const NdjsonDocument &document : batch_) {
        connection_.execute("SAVEPOINT line");
        if (!send_one(document, job_ids)) {
            connection_.execute("ROLLBACK TO SAVEPOINT line");
        }
        connection_.execute("RELEASE SAVEPOINT line");
    }
    const std::int64_t created = count_new(job_ids);
    transaction.commit();
    count_accepted(static_cast<std::int64_t>(job_ids.size()), created);
}

bool FileLoader::send_one(const NdjsonDocument &document, std::vector<std::int64_t> &job_ids) {
    try {
        job_ids.push_back(client::Api(connection_)
                              .enqueue(options_.queue, document.text, document.key, job_options_,
                                       document.ledger));
        return true;
    } catch (const client::Error &error) {
        if (!concerns_one_line(error)) {
            throw;
        }
        std::vector<NdjsonReject> &rejects =
            is_conflict(error) ? figures_.conflicts : figures_.refused;
        rejects.push_back({document.line_number, error.what()});
        return false;
    }
}

std::int64_t FileLoader::count_new(const std::vector<std::int64_t> &job_ids) {
    const std::set<std::int64_t> distinct(job_ids.begin(), job_ids.end());
    if (!options_.fields.key) {
        return static_cast<std::int64_t>(distinct.size());
    }
    const client::Result result = connection_.execute(
        "SELECT count(*) FROM faultline.jobs WHERE job_id = ANY ($1::bigint[]) "
        "AND headers ->> 'load' = $2",
        {client::bigint_array({distinct.begin(), distinct.end()}), batch_mark()});
    return result.bigint(0, 0);
}

void FileLoader::count_accepted(std::int64_t accepted, std::int64_t created) {
    figures_.enqueued += created;
    figures_.deduplicated += accepted - created;
}

} // namespace faultline::cli
