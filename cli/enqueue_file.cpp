// Owns `faultline enqueue-file`: opening the file and reporting the figures.
#include <cstdio>
#include <fstream>
#include <iostream>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "file_loader.hpp"
#include "ndjson.hpp"

namespace faultline::cli {

namespace {

constexpr std::size_t rejects_printed_max = 50;

void print_rejects(const char *what, const std::vector<NdjsonReject> &rejects) {
    for (std::size_t index = 0; index < rejects.size() && index < rejects_printed_max; ++index) {
        fmt::print(stderr, "line {}: {}: {}\n", rejects[index].line_number, what,
                   rejects[index].reason);
    }
    if (rejects.size() > rejects_printed_max) {
        fmt::print(stderr, "... and {} more: {}\n", rejects.size() - rejects_printed_max, what);
    }
}

void print_figures(const LoadFigures &figures, bool json) {
    if (json) {
        const nlohmann::json line = {
            {"lines", figures.lines_read},           {"unparsable", figures.unparsable.size()},
            {"conflicts", figures.conflicts.size()}, {"refused", figures.refused.size()},
            {"enqueued", figures.enqueued},          {"deduplicated", figures.deduplicated}};
        fmt::print("{}\n", line.dump());
        return;
    }
    fmt::print("lines read    {:>10}\n", figures.lines_read);
    fmt::print("unparsable    {:>10}\n", figures.unparsable.size());
    fmt::print("conflicts     {:>10}  the key or transaction_id was used for something else\n",
               figures.conflicts.size());
    fmt::print("refused       {:>10}  by the server, for another reason\n", figures.refused.size());
    fmt::print("enqueued      {:>10}\n", figures.enqueued);
    fmt::print("deduplicated  {:>10}  the same request was there already\n", figures.deduplicated);
}

void report(const LoadFigures &figures, bool json) {
    print_rejects("unparsable", figures.unparsable);
    print_rejects("conflict", figures.conflicts);
    print_rejects("refused", figures.refused);
    print_figures(figures, json);
}

void report_stop(const client::Error &error, std::int64_t last_line_settled, bool has_keys) {
    fmt::print(stderr, "faultline: {}\n", error.what());
    fmt::print(stderr, "Lines up to {} are settled; the lines after it {}. {}\n", last_line_settled,
               error.in_doubt() ? "may have been enqueued or not, the answer was lost"
                                : "were not enqueued",
               has_keys ? "Loading the file again makes no second job of any line."
                        : "Load the rest only: without --key-field a line loaded again is one "
                          "more job, or a conflict if it declares an effect.");
}

void load(std::istream &input, FileLoader &loader, const NdjsonFields &fields) {
    NdjsonReader reader(input, fields);
    while (std::optional<NdjsonLine> line = reader.next()) {
        loader.figures().lines_read = reader.lines_read();
        loader.add(std::move(*line));
    }
    loader.finish();
}

} // namespace

ExitCode run_enqueue_file(client::Connection &connection, const EnqueueFileOptions &options) {
    std::ifstream file;
    const bool from_standard_input = options.file == "-";
    if (!from_standard_input) {
        file.open(options.file, std::ios::binary);
    }
    std::istream &input = from_standard_input ? std::cin : file;
    // Opening a directory works; only reading it fails.
    if (!input || (input.peek() == std::istream::traits_type::eof() && input.bad())) {
        fmt::print(stderr, "faultline: could not read \"{}\"\n", options.file);
        return exit_file;
    }
    FileLoader loader(connection, options);
    try {
        load(input, loader, options.fields);
    } catch (const client::Error &error) {
        report(loader.figures(), options.json);
        report_stop(error, loader.last_line_settled(), options.fields.key.has_value());
        return exit_database;
    }
    const LoadFigures &figures = loader.figures();
    report(figures, options.json);
    if (input.bad()) {
        fmt::print(stderr, "faultline: could not read \"{}\" to its end\n", options.file);
        return exit_file;
    }
    const bool all_taken =
        figures.unparsable.empty() && figures.conflicts.empty() && figures.refused.empty();
    return all_taken ? exit_ok : exit_findings;
}

} // namespace faultline::cli
