// The hot paths of SMTP: finding line ends, reading commands, decoding and encoding DATA.
#include <benchmark/benchmark.h>

#include <cstring>
#include <string>
#include <vector>

#include "ringpost/smtp/command.hh"
#include "ringpost/smtp/data_decoder.hh"
#include "ringpost/smtp/dot_stuffer.hh"
#include "ringpost/smtp/line_reader.hh"
#include "ringpost/smtp/scanner.hh"

namespace {

using namespace ringpost;
using namespace ringpost::smtp;

/// `size` bytes of lines of 76 letters, as base64 parts have; every `dotted`th line starts with a stuffed dot (0: none).
std::string message(std::size_t size, int dotted) {
  std::string text;
  for (int line = 1; text.size() < size; ++line) {
    text += (dotted != 0 && line % dotted == 0 ? ".." : "") + std::string(76, static_cast<char>('A' + line % 26)) + "\r\n";
  }
  return text;
}

void set_bytes(benchmark::State& state, std::size_t each) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(each));
}

void scan_text_with(benchmark::State& state, const Scanner* scanner) {
  std::string text = message(64 << 10, 0);
  for (auto _ : state) {
    TextState text_state;
    benchmark::DoNotOptimize(scanner->scan_text(as_bytes(text), text_state, Dots::stop));
  }
  set_bytes(state, text.size());
}

void find_line_end_with(benchmark::State& state, const Scanner* scanner) {
  std::string text = message(64 << 10, 0);
  for (auto _ : state) {
    for (Bytes rest = as_bytes(text); !rest.empty();) rest = rest.subspan(scanner->find_line_end(rest).offset + 1);
  }
  set_bytes(state, text.size());
}

/// Arguments: bytes of a received piece, every how many lines a stuffed dot.
void decode_data(benchmark::State& state) {
  std::string wire = message(1 << 20, static_cast<int>(state.range(1))) + ".\r\n";
  auto piece = static_cast<std::size_t>(state.range(0));
  std::string received = wire;
  for (auto _ : state) {
    if (state.range(1) != 0) {  // dots were taken away in place
      state.PauseTiming();
      std::memcpy(received.data(), wire.data(), wire.size());
      state.ResumeTiming();
    }
    DataDecoder decoder;
    for (MutableBytes rest = std::as_writable_bytes(std::span{received}); !rest.empty();) {
      MutableBytes input = rest.first(std::min(piece, rest.size()));
      rest = rest.subspan(input.size());
      while (!input.empty()) {
        DataDecoder::Step step = decoder.next(input);
        benchmark::DoNotOptimize(step.content.data());
        input = input.subspan(step.consumed);
      }
    }
    if (!decoder.ended()) state.SkipWithError("the message did not end");
  }
  set_bytes(state, wire.size());
}
BENCHMARK(decode_data)
    ->ArgNames({"piece", "dotted"})
    ->Args({16 << 10, 0})
    ->Args({1448, 0})
    ->Args({16 << 10, 20})
    ->Args({16 << 10, 1});

void decode_refused_flood(benchmark::State& state) {
  std::string wire(1 << 20, '\n');
  for (auto _ : state) {
    DataDecoder decoder;
    for (MutableBytes rest = std::as_writable_bytes(std::span{wire}); !rest.empty();)
      rest = rest.subspan(decoder.next(rest).consumed);
  }
  set_bytes(state, wire.size());
}
BENCHMARK(decode_refused_flood);

void stuff_data(benchmark::State& state) {
  std::string content = message(1 << 20, 0);
  for (auto _ : state) {
    DotStuffer stuffer;
    for (Bytes rest = as_bytes(content); !rest.empty();) rest = rest.subspan(stuffer.next(rest).consumed);
    benchmark::DoNotOptimize(stuffer.finish().data());
  }
  set_bytes(state, content.size());
}
BENCHMARK(stuff_data);

void parse_one(benchmark::State& state, std::string line) {
  for (auto _ : state) benchmark::DoNotOptimize(parse_command(as_bytes(line)));
  set_bytes(state, line.size());
}
BENCHMARK_CAPTURE(parse_one, ehlo, "EHLO client.example.org");
BENCHMARK_CAPTURE(parse_one, mail, "MAIL FROM:<somebody.special@mail.example.org> SIZE=123456 BODY=8BITMIME");
BENCHMARK_CAPTURE(parse_one, rcpt, "RCPT TO:<somebody.else@mail.example.com>");
BENCHMARK_CAPTURE(parse_one, bdat, "BDAT 65536 LAST");

/// The envelope of one message, pipelined.
void read_and_parse_envelope(benchmark::State& state) {
  std::string wire =
      "MAIL FROM:<somebody.special@mail.example.org> SIZE=123456 BODY=8BITMIME\r\nRCPT "
      "TO:<somebody.else@mail.example.com>\r\nDATA\r\n";
  LineReader reader;
  for (auto _ : state) {
    for (Bytes rest = as_bytes(wire); !rest.empty();) {
      LineStep step = reader.next(rest);
      benchmark::DoNotOptimize(parse_command(step.text));
      rest = rest.subspan(step.consumed);
    }
  }
  set_bytes(state, wire.size());
}
BENCHMARK(read_and_parse_envelope);

}  // namespace

int main(int argc, char** argv) {
  for (const Scanner& scanner : scanners()) {
    benchmark::RegisterBenchmark(("scan_text/" + std::string(scanner.name)).c_str(), scan_text_with, &scanner);
    benchmark::RegisterBenchmark(("find_line_end/" + std::string(scanner.name)).c_str(), find_line_end_with, &scanner);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
