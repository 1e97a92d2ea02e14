// Indexing: bytes a second for the shapes mail has, and what a small message costs.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>

#include "ringpost/mime/decode.hh"
#include "ringpost/mime/index.hh"
#include "ringpost/mime/survey.hh"

namespace {

using namespace ringpost;

std::string header() {
  std::string text;
  for (int i = 0; i < 6; ++i) {
    text += "Received: from mx" + std::to_string(i) +
            ".example.net (mx.example.net [192.0.2.1])\r\n\tby mx.example.org with ESMTPS id 4ZxYw" + std::to_string(i) +
            "\r\n\tfor <bob@example.org>; Mon, 2 Mar 2026 10:00:00 +0000\r\n";
  }
  return text +
         "From: Ada <ada@example.net>\r\nTo: bob@example.org\r\nSubject: Minutes of the meeting\r\nMessage-ID: "
         "<1@example.net>\r\n"
         "Date: Mon, 2 Mar 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n";
}

std::string lines(std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += "JVBERi0xLjcKJVBERi0xLjcKJVBERi0xLjcKJVBERi0xLjcKJVBERi0xLjcKJVBERi0xLjcKJVBE\r\n";
  return text;
}

std::string plain(std::size_t body) { return header() + "Content-Type: text/plain; charset=utf-8\r\n\r\n" + lines(body); }

std::string with_attachment(std::size_t body) {
  return header() +
         "Content-Type: multipart/mixed; boundary=\"=_outer\"\r\n\r\n--=_outer\r\nContent-Type: text/plain\r\n\r\nSee "
         "there.\r\n" +
         "--=_outer\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n" +
         "Content-Disposition: attachment; filename=a.pdf\r\n\r\n" + lines(body) + "--=_outer--\r\n";
}

void index_in_spans(benchmark::State& state, const std::string& message) {
  constexpr std::size_t kSpan = 16384;
  mime::Indexer indexer;
  for (auto _ : state) {
    indexer.reset();
    const Bytes bytes = as_bytes(message);
    for (std::size_t at = 0; at < bytes.size(); at += kSpan) indexer.feed(bytes.subspan(at, std::min(kSpan, bytes.size() - at)));
    benchmark::DoNotOptimize(indexer.finish().parts().data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * message.size()));
}

void index_plain(benchmark::State& state) { index_in_spans(state, plain(static_cast<std::size_t>(state.range(0)))); }
BENCHMARK(index_plain)->Arg(1024)->Arg(65536)->Arg(1 << 20);

void index_with_attachment(benchmark::State& state) {
  index_in_spans(state, with_attachment(static_cast<std::size_t>(state.range(0))));
}
BENCHMARK(index_with_attachment)->Arg(1024)->Arg(65536)->Arg(1 << 20);

void survey(benchmark::State& state) {
  const std::string message = plain(1 << 20);
  for (auto _ : state) {
    mime::Survey survey;
    survey.feed(as_bytes(message));
    benchmark::DoNotOptimize(survey.longest_line());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * message.size()));
}
BENCHMARK(survey);

void decode_base64_lines(benchmark::State& state) {
  const std::string text = lines(1 << 20);
  std::string out(text.size(), '\0');
  for (auto _ : state) benchmark::DoNotOptimize(mime::decode_base64(text, out).written);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
}
BENCHMARK(decode_base64_lines);

}  // namespace

BENCHMARK_MAIN();
