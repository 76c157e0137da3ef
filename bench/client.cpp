// Implements the verbs that are measured; the code path is the same for every peer.
#include "client.hpp"

#include <charconv>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <optional>
#include <stdexcept>
#include <string_view>

namespace faultline::bench {

namespace {

using client::Parameter;
using client::Parameters;
using client::Result;

constexpr std::chrono::milliseconds tick_period{10};

// One job goes as plain values, a batch as arrays.
Parameter payloads(const Peer &peer, int batch) {
    const auto count = static_cast<std::size_t>(batch);
    if (peer.enqueues_documents) {
        const std::vector<std::string> documents(count, fmt::format(R"({{"data":{}}})", payload));
        return Parameter(fmt::format("[{}]", fmt::join(documents, ",")));
    }
    if (batch == 1)
        return Parameter(payload);
    return Parameter(client::text_array(std::vector<std::optional<std::string>>(count, payload)));
}

// Ids and tokens need no quotes, and NULL is what a token is that a peer does not have.
Parameter values(const std::vector<std::string> &texts, int batch) {
    if (batch > 1)
        return Parameter(fmt::format("{{{}}}", fmt::join(texts, ",")));
    if (texts.empty() || texts.front() == "NULL")
        return Parameter(std::nullopt);
    return Parameter(texts.front());
}

// A limit that is a parameter would be planned as if it were a tenth of the table.
std::string with_limit(std::string claim, int batch) {
    constexpr std::string_view mark = ":max_jobs";
    if (const std::size_t place = claim.find(mark); place != std::string::npos)
        claim.replace(place, mark.size(), std::to_string(batch));
    return claim;
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

std::int64_t confirmed_count(const Result &result, const Peer &peer, const Claimed &claimed) {
    std::int64_t confirmed = 0;
    switch (peer.confirmation) {
    case Confirmation::affected_rows:
        return affected_count(result);
    case Confirmation::verdicts:
        for (int row = 0; row < result.row_count(); ++row)
            confirmed += result.text(row, result.column_count() - 1) == "succeeded" ? 1 : 0;
        return confirmed;
    case Confirmation::count:
        return result.bigint(0, 0);
    case Confirmation::whole_batch:
        return std::ssize(claimed.ids);
    }
    return -1;
}

void append(Claimed &claimed, const Result &result, int row) {
    // A batch of PgQ may be empty, and must be finished all the same.
    if (!result.is_null(row, 0))
        claimed.ids.emplace_back(result.text(row, 0));
    claimed.tokens.push_back(result.optional_text(row, 1).value_or("NULL"));
}

} // namespace

double seconds_since(Clock::time_point start) { return Seconds(Clock::now() - start).count(); }

double milliseconds_since(Clock::time_point start) { return 1000 * seconds_since(start); }

Client::Client(const std::string &conninfo, const Peer &peer, int batch, int number)
    : peer_(peer), batch_(batch), enqueue_parameters_{payloads(peer, batch)},
      claim_parameters_{Parameter(fmt::format("bench-{}", number)), Parameter(batch)},
      connection_(conninfo) {
    if (!peer.session.empty())
        connection_.execute(peer.session);
    const char *array = batch == 1 ? "" : "[]";
    prepare("enqueue", peer.enqueues_documents ? "json" : fmt::format("jsonb{}", array),
            batch == 1 ? peer.enqueue_one : peer.enqueue_many);
    prepare("claim", "text, int", with_limit(peer.claim, batch));
    prepare("complete", fmt::format("{0}{1}, bigint{1}", peer.id_type, array),
            batch == 1 ? peer.complete_one : peer.complete_many);
    if (!peer.turn.empty())
        prepare("turn", fmt::format("text, int, {}[], bigint[]", peer.id_type), peer.turn);
}

// With the types of all parameters, as not every peer's statements use every one.
void Client::prepare(const char *name, const std::string &types, const std::string &statement) {
    connection_.execute(fmt::format("PREPARE {} ({}) AS {}", name, types, statement));
}

void Client::cycle() {
    enqueue();
    if (!peer_.tick.empty())
        return;
    if (!peer_.turn.empty())
        return turn();
    const Claimed claimed = claim();
    // Other clients may hold everything that is ready: then there is nothing to complete.
    if (!claimed.empty())
        complete(claimed);
}

bool Client::read() {
    tick();
    const Claimed claimed = claim();
    if (claimed.empty())
        return false;
    complete(claimed);
    return true;
}

void Client::tick() {
    if (peer_.tick.empty() || Clock::now() - last_tick_ < tick_period)
        return;
    connection_.execute(peer_.tick);
    last_tick_ = Clock::now();
}

void Client::enqueue() {
    const Result ids = connection_.execute_prepared("enqueue", enqueue_parameters_);
    if (ids.row_count() != batch_)
        throw std::runtime_error(fmt::format("{}: enqueue of {} jobs returned {} ids", peer_.name,
                                             batch_, ids.row_count()));
    enqueued_count_ += batch_;
}

Claimed Client::claim() {
    const Result result = connection_.execute_prepared("claim", claim_parameters_);
    Claimed claimed;
    for (int row = 0; row < result.row_count(); ++row)
        append(claimed, result, row);
    return claimed;
}

void Client::complete(const Claimed &claimed) {
    const Result result = connection_.execute_prepared(
        "complete", {values(claimed.ids, batch_), values(claimed.tokens, batch_)});
    const std::int64_t confirmed = confirmed_count(result, peer_, claimed);
    if (confirmed != std::ssize(claimed.ids))
        throw std::runtime_error(fmt::format("{}: {} jobs claimed, but {} completed", peer_.name,
                                             claimed.ids.size(), confirmed));
    completed_count_ += confirmed;
}

void Client::turn() {
    constexpr int verdict_column = 2;
    Parameters parameters = claim_parameters_;
    parameters.push_back(Parameter(fmt::format("{{{}}}", fmt::join(held_.ids, ","))));
    parameters.push_back(Parameter(fmt::format("{{{}}}", fmt::join(held_.tokens, ","))));
    const Result result = connection_.execute_prepared("turn", parameters);
    Claimed claimed;
    std::int64_t confirmed = 0;
    for (int row = 0; row < result.row_count(); ++row) {
        const std::string_view verdict = result.text(row, verdict_column);
        if (verdict == "claimed")
            append(claimed, result, row);
        else
            confirmed += verdict == "succeeded" ? 1 : 0;
    }
    if (confirmed != std::ssize(held_.ids))
        throw std::runtime_error(fmt::format("{}: {} jobs held, but {} completed", peer_.name,
                                             held_.ids.size(), confirmed));
    completed_count_ += confirmed;
    held_ = std::move(claimed);
}

} // namespace faultline::bench
