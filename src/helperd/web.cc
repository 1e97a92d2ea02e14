#include "ringpost/helperd/web.hh"

#include <curl/curl.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "ringpost/base/secret.hh"

namespace ringpost::helperd {

using helper::WebAnswer;
using helper::WebFault;

namespace {

/// How often a request looks whether it is to end early.
constexpr int kLookEvery_ms = 100;

using Easy = std::unique_ptr<CURL, decltype(&::curl_easy_cleanup)>;
using Multi = std::unique_ptr<CURLM, decltype(&::curl_multi_cleanup)>;
using Lines = std::unique_ptr<curl_slist, decltype(&::curl_slist_free_all)>;
using Url = std::unique_ptr<CURLU, decltype(&::curl_url_cleanup)>;

long milliseconds(Duration duration) { return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count(); }

void append(Lines& lines, const std::string& line) {
  lines.reset(::curl_slist_append(lines.release(), line.c_str()));
}

std::optional<std::string> part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (::curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return std::nullopt;
  std::string copy{text};
  ::curl_free(text);
  return copy;
}

/// "host:port:address,address", libcurl's way to say where a host is; nothing: no URL we take.
std::optional<std::string> place(const HttpRequest& wanted) {
  const Url url{::curl_url(), &::curl_url_cleanup};
  if (!url || ::curl_url_set(url.get(), CURLUPART_URL, wanted.url.c_str(), 0) != CURLUE_OK) return std::nullopt;
  const auto scheme = part_of(url.get(), CURLUPART_SCHEME), host = part_of(url.get(), CURLUPART_HOST), port = part_of(url.get(), CURLUPART_PORT);
  if (scheme != "https" || !host || !port || host->find_first_of(":[]") != host->npos) return std::nullopt;
  std::string line = *host + ":" + *port + ":";
  for (std::size_t i = 0; i < wanted.addresses.size(); ++i) {
    const std::string address = wanted.addresses[i].text();
    line += i > 0 ? "," : "";
    line += address.find(':') != address.npos ? "[" + address + "]" : address;
  }
  return line;
}

struct Sink {
  std::string body;
  bool overflowed = false;
};

/// Takes a piece of the body; fewer bytes than came end the transfer.
std::size_t take_piece(char* data, std::size_t, std::size_t size, void* user) {
  Sink& sink = *static_cast<Sink*>(user);
  if (sink.body.size() + size > helper::kWebBodyBytesMax) {
    sink.overflowed = true;
    return 0;
  }
  sink.body.append(data, size);
  return size;
}

WebFault fault_of(CURLcode code) {
  switch (code) {
    case CURLE_OK: return WebFault::none;
    case CURLE_COULDNT_RESOLVE_HOST: return WebFault::no_address;
    case CURLE_COULDNT_CONNECT: return WebFault::connect;
    case CURLE_OPERATION_TIMEDOUT: return WebFault::timed_out;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CACERT_BADFILE: return WebFault::certificate;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_INITFAILED: return WebFault::tls;
    case CURLE_FILESIZE_EXCEEDED: return WebFault::too_large;
    default: return WebFault::protocol;
  }
}

// libcurl's memory: a token or password goes through several of its buffers.
void free_wiped(void* memory) {
  if (!memory) return;
  wipe({static_cast<std::byte*>(memory), ::malloc_usable_size(memory)});
  std::free(memory);
}

void* reallocate_wiped(void* memory, std::size_t bytes) {
  void* larger = std::malloc(bytes);
  if (!larger || !memory) return larger;
  std::memcpy(larger, memory, std::min(bytes, ::malloc_usable_size(memory)));
  free_wiped(memory);
  return larger;
}

}  // namespace

Web::Web(std::string trust_file) : trust_file_(std::move(trust_file)) {
  ::curl_global_init_mem(CURL_GLOBAL_DEFAULT, &std::malloc, &free_wiped, &reallocate_wiped, &::strdup, &std::calloc);
}

Web::~Web() { ::curl_global_cleanup(); }

WebAnswer Web::request(const HttpRequest& wanted) const {
  if (wanted.addresses.empty()) return {.fault = WebFault::no_address};
  const std::optional<std::string> where = place(wanted);
  const Easy easy{::curl_easy_init(), &::curl_easy_cleanup};
  const Multi multi{::curl_multi_init(), &::curl_multi_cleanup};
  if (!where || !easy || !multi) return {.fault = WebFault::protocol};
  Lines places{nullptr, &::curl_slist_free_all}, header{nullptr, &::curl_slist_free_all};
  append(places, *where);
  for (const std::string& line : wanted.header_lines) append(header, line);
  Sink sink;
  auto set = [&easy](CURLoption option, auto value) { (void)::curl_easy_setopt(easy.get(), option, value); };
  set(CURLOPT_URL, wanted.url.c_str());
  set(CURLOPT_RESOLVE, places.get());
  set(CURLOPT_HTTPHEADER, header.get());
  set(CURLOPT_PROTOCOLS_STR, "https");
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_PROXY, "");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_USERAGENT, "Ringpost");
  set(CURLOPT_CAINFO, trust_file_.c_str());
  set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(wanted.connect_patience));
  set(CURLOPT_TIMEOUT_MS, milliseconds(wanted.patience));
  set(CURLOPT_MAXFILESIZE, static_cast<long>(helper::kWebBodyBytesMax));
  set(CURLOPT_WRITEFUNCTION, &take_piece);
  set(CURLOPT_WRITEDATA, &sink);
  if (wanted.post) {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDS, wanted.body.data());
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(wanted.body.size()));
  }
  if (wanted.credentials) {
    set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
    set(CURLOPT_USERPWD, wanted.credentials);
  }
  (void)::curl_multi_add_handle(multi.get(), easy.get());
  int running = 1;
  bool failed = false;
  while (running > 0 && !failed && !stopping_.load(std::memory_order_relaxed)) {
    failed = ::curl_multi_perform(multi.get(), &running) != CURLM_OK;
    if (running > 0 && !failed) failed = ::curl_multi_poll(multi.get(), nullptr, 0, kLookEvery_ms, nullptr) != CURLM_OK;
  }
  int left = 0;
  const CURLMsg* done = ::curl_multi_info_read(multi.get(), &left);
  WebAnswer answer{.fault = failed ? WebFault::protocol : WebFault::timed_out};
  if (done && done->msg == CURLMSG_DONE) answer.fault = fault_of(done->data.result);
  long status = 0;
  char* type = nullptr;
  (void)::curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
  (void)::curl_easy_getinfo(easy.get(), CURLINFO_CONTENT_TYPE, &type);
  answer.status = static_cast<std::uint16_t>(status);
  if (type) answer.content_type = type;
  (void)::curl_multi_remove_handle(multi.get(), easy.get());  // before either dies; `type` ends here
  if (sink.overflowed) answer.fault = WebFault::too_large;
  if (status >= 300 && answer.fault != WebFault::timed_out) answer.fault = status < 400 ? WebFault::redirect : WebFault::status;
  if (answer.fault == WebFault::none) answer.body = std::move(sink.body);
  return answer;
}

}  // namespace ringpost::helperd
