// Implements the choice and the installation of peers.
#include "database.hpp"
#include "package.hpp"
#include "peer.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <set>
#include <stdexcept>

namespace faultline::bench {

namespace {

using client::Connection;

// Its client's statements, recorded while it was installed, and the version of both.
void install_package(Peer &peer) {
    const nlohmann::json recorded =
        output_of_script(template_database, "statements.mjs " + peer.package);
    const auto take = [&recorded](const char *name, std::string &value) {
        value = recorded.value(name, value);
    };
    take("enqueue_one", peer.enqueue_one);
    take("enqueue_many", peer.enqueue_many);
    take("claim", peer.claim);
    take("complete_one", peer.complete_one);
    take("complete_many", peer.complete_many);
    peer.note = fmt::format("{}; version {}", peer.note, recorded.value("version", "unknown"));
}

std::optional<std::string> what_is_missing(const Peer &peer, Connection &connection) {
    if (!peer.package.empty() && !package_is_there(peer.package))
        return fmt::format("not fetched; bench/peers/install {}", peer.package);
    if (peer.missing.empty())
        return std::nullopt;
    return connection.execute(peer.missing).optional_text(0, 0);
}

} // namespace

std::vector<Peer> install_peers(const std::vector<std::string> &names, const std::string &database,
                                std::string &absent) {
    Connection connection(database);
    connection.execute("CREATE EXTENSION faultline");
    std::vector<Peer> chosen;
    for (const std::string &name : names) {
        std::vector<Peer> all = all_peers();
        const auto found = std::find_if(all.begin(), all.end(),
                                        [&](const Peer &peer) { return peer.name == name; });
        if (found == all.end())
            throw std::runtime_error(fmt::format("there is no peer \"{}\"", name));
        if (const std::optional<std::string> missing = what_is_missing(*found, connection))
            absent += fmt::format("not measured: {} ({})\n", name, *missing);
        else
            chosen.push_back(*found);
    }
    std::set<std::string> installed; // variants share what their queue installs
    for (Peer &peer : chosen) {
        if (!peer.package.empty())
            install_package(peer);
        if (installed.insert(peer.schema).second)
            for (const std::string &statement : peer.setup)
                connection.execute(statement);
    }
    return chosen;
}

std::string notes_of(const std::vector<Peer> &peers) {
    std::string text;
    for (const Peer &peer : peers)
        text += fmt::format("  {:<16} {}\n", peer.name, peer.note);
    return text;
}

void prepare_copy(const Peer &peer, const std::string &database) {
    Connection connection(database);
    for (const std::string &statement : peer.after_copy)
        connection.execute(statement);
}

} // namespace faultline::bench
