// Implements the lifecycle that is measured; the code path is the same for every peer.
#include "client.hpp"

#include <charconv>
#include <fmt/format.h>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace faultline::bench {

namespace {

using client::Parameter;
using client::Parameters;
using client::Result;

// One job goes as plain values, a batch as arrays.
Parameter payloads(int batch) {
    if (batch == 1)
        return Parameter(payload);
    return Parameter(client::text_array(
        std::vector<std::optional<std::string>>(static_cast<std::size_t>(batch), payload)));
}

Parameter bigints(const Result &result, int column, int batch) {
    if (batch == 1)
        return Parameter(result.bigint(0, column));
    std::vector<std::int64_t> values;
    for (int row = 0; row < result.row_count(); ++row)
        values.push_back(result.bigint(row, column));
    return Parameter(client::bigint_array(values));
}

// The rows that a command without RETURNING reports: "UPDATE 100".
std::int64_t affected_count(const Result &result) {
    const std::string_view tag = result.command_tag();
    const std::size_t space = tag.rfind(' ');
    std::int64_t count = -1;
    if (space != std::string_view::npos)
        std::from_chars(tag.data() + space + 1, tag.data() + tag.size(), count);
    return count;
}

std::int64_t confirmed_count(const Result &result, const char *success_verdict) {
    if (success_verdict == nullptr)
        return affected_count(result);
    std::int64_t confirmed = 0;
    for (int row = 0; row < result.row_count(); ++row)
        confirmed += result.text(row, result.column_count() - 1) == success_verdict ? 1 : 0;
    return confirmed;
}

} // namespace

Client::Client(const std::string &conninfo, const Peer &peer, int batch, int number)
    : peer_(peer), batch_(batch), enqueue_parameters_{payloads(batch)},
      claim_parameters_{Parameter(fmt::format("bench-{}", number)), Parameter(batch)},
      connection_(conninfo) {
    connection_.prepare("enqueue", batch == 1 ? peer.enqueue_one : peer.enqueue_many);
    connection_.prepare("claim", peer.claim);
    connection_.prepare("complete", batch == 1 ? peer.complete_one : peer.complete_many);
}

void Client::cycle() {
    enqueue();
    const Result claimed = connection_.execute_prepared("claim", claim_parameters_);
    // Other clients may hold everything that is ready: then there is nothing to complete.
    if (claimed.row_count() > 0)
        complete(claimed);
}

void Client::enqueue() {
    const Result ids = connection_.execute_prepared("enqueue", enqueue_parameters_);
    if (ids.row_count() != batch_)
        throw std::runtime_error(fmt::format("{}: enqueue of {} jobs returned {} ids", peer_.name,
                                             batch_, ids.row_count()));
    enqueued_count_ += batch_;
}

void Client::complete(const Result &claimed) {
    constexpr int id_column = 0;
    constexpr int token_column = 1;
    Parameters parameters{bigints(claimed, id_column, batch_)};
    if (peer_.has_lease_token)
        parameters.push_back(bigints(claimed, token_column, batch_));
    const Result completed = connection_.execute_prepared("complete", parameters);
    const std::int64_t confirmed = confirmed_count(completed, peer_.success_verdict);
    if (confirmed != claimed.row_count())
        throw std::runtime_error(fmt::format("{}: {} jobs claimed, but {} completed", peer_.name,
                                             claimed.row_count(), confirmed));
    completed_count_ += confirmed;
}

} // namespace faultline::bench
