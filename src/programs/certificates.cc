#include "programs/certificates.hh"

#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "programs/named_files.hh"
#include "ringpost/tls/certificate.hh"
#include "ringpost/tls/trust.hh"

namespace ringpost::programs {

namespace {

/// The system itself: certificates are read before there are rings, and beside them.
class SystemWorld final : public crypto::LibraryWorld {
 public:
  void random(MutableBytes target) override {
    for (std::size_t done = 0; done < target.size();) {
      const ssize_t count = ::getrandom(target.data() + done, target.size() - done, 0);
      if (count > 0) done += static_cast<std::size_t>(count);
      else RP_ASSERT(errno == EINTR);
    }
  }
  WallTime wall_now() override { return std::chrono::system_clock::now(); }
};

const config::CertificateFiles* same_files(const config::Settings* in_force, const config::CertificateFiles& wanted) {
  if (!in_force) return nullptr;
  const auto& all = in_force->tls.certificates;
  const auto found = std::ranges::find(all, wanted.name, &config::CertificateFiles::name);
  const bool same = found != all.end() && found->loaded && found->chain == wanted.chain && found->key == wanted.key;
  return same ? &*found : nullptr;
}

}  // namespace

std::expected<void, std::string> read_certificates(config::Settings& settings, const config::Configuration& configuration,
                                                   const config::Settings* in_force, std::vector<std::string>& kept) {
  SystemWorld world;
  for (config::CertificateFiles& files : settings.tls.certificates) {
    const std::string prefix = "tls.certificate." + files.name + ".";
    const auto chain = read_named_file(files.chain);
    const auto key = read_named_file(files.key);
    for (const auto& [content, path, field] : {std::tuple{&chain, &files.chain, "chain"}, std::tuple{&key, &files.key, "key"}}) {
      if (*content) continue;
      const auto* old = is_forbidden(content->error()) ? same_files(in_force, files) : nullptr;
      std::string reason = at_line(configuration, prefix + field) + *path + ": " + std::strerror(content->error().detail);
      if (!old) return std::unexpected(std::move(reason));
      files.loaded = old->loaded;
      kept.push_back(std::move(reason));
      break;
    }
    if (files.loaded) continue;
    auto certificate = tls::read_certificate(files.name, chain->view(), key->view(), world);
    if (!certificate) {
      const bool is_chain = certificate.error().file == tls::CertificateFile::chain;
      return std::unexpected(at_line(configuration, prefix + (is_chain ? "chain" : "key")) + (is_chain ? files.chain : files.key) + " " +
                             certificate.error().reason);
    }
    files.loaded = std::make_shared<const tls::Certificate>(std::move(*certificate));
  }
  return {};
}

namespace {

/// By whom clients' certificates are judged. What cannot be read is no reason to believe anybody, nor to believe nobody any more: it is an
/// error, but for what we may not read any more.
std::expected<void, std::string> read_clients(config::Settings& settings, const config::Configuration& configuration,
                                              const config::Settings* in_force) {
  config::Settings::Tls& tls = settings.tls;
  if (tls.client_ca_file.empty()) return {};
  SystemWorld world;
  std::optional<tls::TrustStore> store;
  for (const auto& [path, key] : {std::pair{&tls.client_ca_file, "tls.client_ca_file"}, std::pair{&tls.client_revocation_file, "tls.client_revocation_file"}}) {
    if (path->empty()) continue;
    const std::string where = at_line(configuration, key) + *path;
    const auto content = read_named_file(*path);
    if (!content) {
      const bool same = in_force && in_force->tls.client_ca_file == tls.client_ca_file && in_force->tls.client_revocation_file == tls.client_revocation_file;
      if (!is_forbidden(content.error()) || !same) return std::unexpected(where + ": " + std::strerror(content.error().detail));
      tls.clients = in_force->tls.clients;
      return {};
    }
    if (store) {
      if (auto revoked = store->revoke_by(content->view()); !revoked) return std::unexpected(where + " " + revoked.error());
    } else {
      auto read = tls::TrustStore::read(content->view(), world);
      if (!read) return std::unexpected(where + " " + read.error());
      if (read->unreadable() > 0) return std::unexpected(where + " holds a certificate that cannot be read");
      store = std::move(*read);
    }
  }
  tls.clients = std::make_shared<const tls::TrustStore>(std::move(*store));
  return {};
}

/// The lists of tls.revocation_file, for `store`; or what is in force instead, with them, where we may not read them any more.
std::expected<void, std::string> read_revocations(config::Settings& settings, const config::Configuration& configuration,
                                                  const config::Settings* in_force, tls::TrustStore& store) {
  config::Settings::Tls& tls = settings.tls;
  if (tls.revocation_file.empty()) return {};
  const std::string where = at_line(configuration, "tls.revocation_file") + tls.revocation_file;
  const auto content = read_named_file(tls.revocation_file);
  if (!content) {
    const bool same = in_force && in_force->tls.trust_file == tls.trust_file && in_force->tls.revocation_file == tls.revocation_file;
    if (!is_forbidden(content.error()) || !same) return std::unexpected(where + ": " + std::strerror(content.error().detail));
    tls.trust = in_force->tls.trust;
    return {};
  }
  auto revoked = store.revoke_by(content->view(), tls::Unlisted::believed);
  if (!revoked) return std::unexpected(where + " " + revoked.error());
  return {};
}

}  // namespace

std::expected<void, std::string> read_trust(config::Settings& settings, const config::Configuration& configuration,
                                            const config::Settings* in_force) {
  SystemWorld world;
  const std::string& path = settings.tls.trust_file;
  std::string reason;
  if (const auto content = read_named_file(path)) {
    auto store = tls::TrustStore::read(content->view(), world);
    if (store) {
      auto lists = read_revocations(settings, configuration, in_force, *store);
      if (!lists) return lists;
      if (!settings.tls.trust) settings.tls.trust = std::make_shared<const tls::TrustStore>(std::move(*store));
    } else {
      reason = store.error();
    }
  } else {
    if (is_forbidden(content.error()) && in_force && in_force->tls.trust_file == path) settings.tls.trust = in_force->tls.trust;
    reason = std::strerror(content.error().detail);
  }
  auto clients = read_clients(settings, configuration, in_force);
  if (!clients) return clients;
  const auto verified = std::ranges::find(settings.destinations, config::TlsPolicy::verify, &config::DestinationLimits::tls);
  if (settings.tls.trust || verified == settings.destinations.end()) return {};
  return std::unexpected(at_line(configuration, "tls.trust_file") + path + ": " + reason + "; destination." + verified->domain +
                         ".tls = verify needs it");
}

std::int64_t days_left(const config::CertificateFiles& certificate) {
  const auto left = certificate.loaded->not_after - WallTime{std::chrono::system_clock::now()};
  return std::chrono::floor<std::chrono::days>(left).count();
}

// Which files there are, and what the system says of each: another name, inode, size or time is a change.
std::string CertificateWatch::stamps(const config::Settings& settings) {
  std::string all;
  const auto add = [&](const std::string& path) {
    if (path.empty()) return;
    struct stat info {};
    const std::int64_t failed = ::stat(path.c_str(), &info) == 0 ? 0 : errno;
    all += path;
    for (std::int64_t part : {failed, static_cast<std::int64_t>(info.st_ino), static_cast<std::int64_t>(info.st_size),
                              static_cast<std::int64_t>(info.st_mtim.tv_sec), static_cast<std::int64_t>(info.st_mtim.tv_nsec)})
      all += " " + std::to_string(part);
  };
  for (const config::CertificateFiles& files : settings.tls.certificates) {
    add(files.chain);
    add(files.key);
  }
  add(settings.tls.revocation_file);
  add(settings.tls.client_ca_file);
  add(settings.tls.client_revocation_file);
  for (const config::DestinationLimits& each : settings.destinations) add(each.login.password_file);
  return all;
}

bool CertificateWatch::look(const config::Settings& settings) {
  std::string now = stamps(settings);
  const bool calm = now == std::exchange(seen_, now);
  if (!calm || now == known_) return false;
  known_ = std::move(now);
  return true;
}

}  // namespace ringpost::programs
