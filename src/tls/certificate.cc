#include "ringpost/tls/certificate.hh"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <algorithm>
#include <memory>

#include "tls/library.hh"
#include "tls/parsed.hh"
#include "tls/pem.hh"

namespace ringpost::tls {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool equal_names(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::unexpected<CertificateProblem> problem(CertificateFile file, std::string reason) {
  return std::unexpected(CertificateProblem{file, std::move(reason)});
}

/// The private key's block; text for the operator when there is none that can be used.
std::expected<PemBlock, std::string> find_key(std::string_view file) {
  const auto blocks = pem_blocks(file);
  if (!blocks) return std::unexpected("a PEM block does not end");
  for (const PemBlock& block : *blocks) {
    if (block.label == "ENCRYPTED PRIVATE KEY" || block.text.find("Proc-Type: 4,ENCRYPTED") != block.text.npos)
      return std::unexpected("the private key is encrypted; nobody is there to type its password");
    if (block.label == "PRIVATE KEY" || block.label == "RSA PRIVATE KEY" || block.label == "EC PRIVATE KEY") return block;
  }
  return std::unexpected("holds no private key in PEM");
}

bool key_fits(std::string_view chain, std::string_view key) {
  const ContextPtr context{wolfSSL_CTX_new(wolfTLS_server_method())};
  RP_ASSERT(context);
  auto raw = [](std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); };
  return wolfSSL_CTX_use_certificate_chain_buffer(context.get(), raw(chain), static_cast<long>(chain.size())) ==
             WOLFSSL_SUCCESS &&
         wolfSSL_CTX_use_PrivateKey_buffer(context.get(), raw(key), static_cast<long>(key.size()), WOLFSSL_FILETYPE_PEM) ==
             WOLFSSL_SUCCESS &&
         wolfSSL_CTX_check_private_key(context.get()) == WOLFSSL_SUCCESS;
}

std::string date_text(WallTime at) {
  const std::chrono::year_month_day date{std::chrono::floor<std::chrono::days>(at)};
  char text[16];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()));
  return text;
}

}  // namespace

bool stands_for(std::string_view pattern, std::string_view host) {
  if (!pattern.starts_with("*.")) return !host.empty() && equal_names(pattern, host);
  const std::size_t dot = host.find('.');
  return dot != host.npos && dot > 0 && pattern.size() > 2 && equal_names(pattern.substr(1), host.substr(dot));
}

std::expected<Certificate, CertificateProblem> read_certificate(std::string_view name, Bytes chain, Bytes key,
                                                                crypto::LibraryWorld& world) {
  const crypto::LibraryCalls calls{world};
  start_library();
  const auto blocks = pem_blocks(as_text(chain));
  if (!blocks) return problem(CertificateFile::chain, "a PEM block does not end");
  Certificate certificate{.name = std::string{name}};
  std::vector<Parsed> links;
  std::vector<std::string_view> texts;
  for (const PemBlock& block : *blocks) {
    if (block.label != "CERTIFICATE") continue;
    const auto der = pem_bytes(block);
    auto parsed = der ? parse_der(*der) : std::nullopt;
    if (!parsed) return problem(CertificateFile::chain, "certificate " + std::to_string(links.size() + 1) + " cannot be read");
    links.push_back(std::move(*parsed));
    texts.push_back(block.text);
    certificate.chain.append(block.text).append("\n");
  }
  if (links.empty()) return problem(CertificateFile::chain, "holds no certificate in PEM");
  const Parsed& own = links.front();
  if (!own.kind) return problem(CertificateFile::chain, "the certificate's key is neither RSA nor ECDSA");

  const auto key_block = find_key(as_text(key));
  if (!key_block) return problem(CertificateFile::key, key_block.error());
  if (!key_fits(texts.front(), key_block->text)) {
    for (std::size_t i = 1; i < texts.size(); ++i)
      if (key_fits(texts[i], key_block->text))
        return problem(CertificateFile::chain, "is in the wrong order: certificate " + std::to_string(i + 1) +
                                                   " is the one of the key, and must come first");
    return problem(CertificateFile::key, "does not match the certificate");
  }
  for (std::size_t i = 1; i < links.size(); ++i)
    if (links[i - 1].issuer != links[i].subject)
      return problem(CertificateFile::chain, "is in the wrong order: certificate " + std::to_string(i + 1) +
                                                 " did not issue certificate " + std::to_string(i));

  const WallTime now = world.wall_now();
  for (const Parsed& link : links) {
    if (now < link.not_before) return problem(CertificateFile::chain, "is not valid before " + date_text(link.not_before));
    if (now >= link.not_after) return problem(CertificateFile::chain, "has expired on " + date_text(link.not_after));
  }
  certificate.kind = *own.kind;
  certificate.not_before = own.not_before;
  certificate.not_after = own.not_after;
  for (std::string host : own.hosts) {
    std::ranges::transform(host, host.begin(), lower);
    certificate.hosts.push_back(std::move(host));
  }
  const Bytes key_text = as_bytes(key_block->text);
  certificate.key = SecretBytes{{key_text.begin(), key_text.end()}};
  return certificate;
}

}  // namespace ringpost::tls
