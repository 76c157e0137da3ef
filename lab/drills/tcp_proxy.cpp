// Implements the network by blocking sockets and poll with a short timeout.
#include "tcp_proxy.hpp"

#include <array>
#include <cerrno>
#include <netinet/in.h>
#include <poll.h>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>

namespace faultline::lab {

namespace {

constexpr int look_milliseconds = 5;
constexpr int answer_milliseconds_max = 5'000;
constexpr int backlog = 64;

[[noreturn]] void fail(const char *what) {
    throw std::system_error(errno, std::generic_category(), what);
}

FileDescriptor connected_to(const std::string &path) {
    FileDescriptor server(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (connect(server.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)) != 0)
        server.close();
    return server;
}

// One at a time takes one of those that are left.
bool take_one(std::atomic<int> &left) {
    int seen = left;
    while (seen > 0)
        if (left.compare_exchange_weak(seen, seen - 1))
            return true;
    return false;
}

bool send_all(int to, std::string_view piece) {
    while (!piece.empty()) {
        const ssize_t length = send(to, piece.data(), piece.size(), MSG_NOSIGNAL);
        if (length < 0)
            return false;
        piece.remove_prefix(static_cast<std::size_t>(length));
    }
    return true;
}

bool is_readable(int descriptor, int milliseconds) {
    pollfd entry{.fd = descriptor, .events = POLLIN, .revents = 0};
    return poll(&entry, 1, milliseconds) > 0;
}

using Buffer = std::array<char, 16'384>;

// Nothing when the other side has gone.
std::string_view receive(int from, Buffer &buffer) {
    const ssize_t length = recv(from, buffer.data(), buffer.size(), 0);
    return {buffer.data(), length > 0 ? static_cast<std::size_t>(length) : 0};
}

} // namespace

TcpProxy::TcpProxy(std::string socket_path) : socket_path_(std::move(socket_path)) {
    listener_ = FileDescriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto *generic = reinterpret_cast<sockaddr *>(&address);
    if (bind(listener_.get(), generic, length) != 0 || listen(listener_.get(), backlog) != 0 ||
        getsockname(listener_.get(), generic, &length) != 0)
        fail("could not listen on the loopback interface");
    port_ = ntohs(address.sin_port);
    acceptor_ = std::jthread([this](const std::stop_token &stop) { accept_all(stop); });
}

TcpProxy::~TcpProxy() {
    acceptor_.request_stop();
    acceptor_.join();
    for (std::jthread &connection : connections_)
        connection.request_stop();
}

void TcpProxy::cut_all(bool half_open) {
    keeps_server_side_ = half_open;
    ++cut_generation_;
}

void TcpProxy::accept_all(const std::stop_token &stop) {
    while (!stop.stop_requested()) {
        if (!is_readable(listener_.get(), look_milliseconds))
            continue;
        FileDescriptor client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (client.get() < 0)
            continue;
        connections_.emplace_back([this](const std::stop_token &inner,
                                         FileDescriptor passed) { pass(inner, std::move(passed)); },
                                  std::move(client));
    }
}

void TcpProxy::pass(const std::stop_token &stop, FileDescriptor client) {
    const int generation = cut_generation_;
    FileDescriptor server = connected_to(socket_path_);
    bool goes_on = server.get() >= 0;
    while (goes_on && !stop.stop_requested()) {
        std::array<pollfd, 2> sides{pollfd{client.get(), POLLIN, 0},
                                    pollfd{server.get(), POLLIN, 0}};
        poll(sides.data(), sides.size(), look_milliseconds);
        if (cut_generation_ != generation)
            break;
        goes_on = (sides[0].revents == 0 || pass_request(client.get(), server.get())) &&
                  (sides[1].revents == 0 || pass_answer(server.get(), client.get()));
    }
    if (cut_generation_ == generation)
        return;
    ++cut_;
    client.close();
    ++half_open_;
    while (keeps_server_side_ && !stop.stop_requested())
        poll(nullptr, 0, look_milliseconds);
    --half_open_;
}

// Returns whether the connection goes on.
bool TcpProxy::pass_request(int from, int to) {
    Buffer buffer;
    const std::string_view piece = receive(from, buffer);
    if (piece.empty())
        return false;
    const bool commits = piece.find("COMMIT") != std::string_view::npos;
    if (commits && take_one(cuts_before_commit_)) {
        ++cut_at_commit_;
        return false;
    }
    if (drops_requests_) {
        ++dropped_;
        return true;
    }
    if (delay_milliseconds_ > 0) {
        poll(nullptr, 0, delay_milliseconds_);
        ++delayed_;
    }
    if (commits && take_one(cuts_after_commit_)) {
        // The answer is there, and nobody hears it.
        const bool took_effect = send_all(to, piece) && is_readable(to, answer_milliseconds_max);
        cut_at_commit_ += took_effect ? 1 : 0;
        return false;
    }
    return send_all(to, piece);
}

bool TcpProxy::pass_answer(int from, int to) {
    Buffer buffer;
    const std::string_view piece = receive(from, buffer);
    if (piece.empty())
        return false;
    if (drops_answers_) {
        ++dropped_;
        return true;
    }
    if (delay_milliseconds_ > 0)
        poll(nullptr, 0, delay_milliseconds_);
    return send_all(to, piece);
}

} // namespace faultline::lab
