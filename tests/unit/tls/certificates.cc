#include "certificates.hh"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace ringpost::tls::testing {

namespace {

constexpr const char* kScript = R"(
set -e
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }
root() { key "$1"; openssl req -x509 -key "$1.key" -out "$1.pem" -days 3650 -subj "/CN=$1" \
  -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign,cRLSign; }
sign() { # NAME SUBJECT ISSUER DAYS EXTENSIONS
  openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"
  printf '%b\n' "$5" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$3.pem" -CAkey "$3.key" -CAcreateserial -days "$4" -extfile "$1.ext" -out "$1.pem"
}
root root; root stranger-root
key middle
sign middle middle root 3650 'basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign'
key mx; key other; key stranger; key alone
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out mx-rsa.key
sign mx mx.test middle 30 'subjectAltName=DNS:mx.test,DNS:*.wild.test'
sign mx-rsa mx.test middle 30 'subjectAltName=DNS:mx.test'
sign other other.test middle 30 'subjectAltName=DNS:other.test'
sign stranger mx.test stranger-root 30 'subjectAltName=DNS:mx.test'
openssl req -x509 -key alone.key -out alone.pem -days 30 -subj /CN=mx.test -addext subjectAltName=DNS:mx.test
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out short.key
sign short mx.test middle 30 'subjectAltName=DNS:mx.test'
key old
openssl req -new -key old.key -subj /CN=mx.test -out old.csr
printf 'subjectAltName=DNS:mx.test\n' >old.ext
openssl x509 -req -sha1 -in old.csr -CA middle.pem -CAkey middle.key -days 30 -extfile old.ext -out old.pem
for leaf in mx mx-rsa other short old; do cat $leaf.pem middle.pem >$leaf-chain.pem; done
)";

std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream{path, std::ios::binary}.rdbuf();
  EXPECT_FALSE(text.str().empty()) << path;
  return text.str();
}

struct Folder {
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "ringpost-tls-XXXXXX";
    path = mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

TestFiles make() {
  static const Folder folder;
  std::ofstream{folder.path / "make"} << kScript;
  const std::string command = "cd " + folder.path.string() + " && sh ./make >log 2>&1";
  if (std::system(command.c_str()) != 0) {
    ADD_FAILURE() << read(folder.path / "log");
    std::abort();
  }
  auto file = [&](const char* name) { return read(folder.path / name); };
  return {.folder = folder.path,
          .root = file("root.pem"),
          .stranger_root = file("stranger-root.pem"),
          .mx_chain = file("mx-chain.pem"),
          .mx_key = file("mx.key"),
          .mx_rsa_chain = file("mx-rsa-chain.pem"),
          .mx_rsa_key = file("mx-rsa.key"),
          .other_chain = file("other-chain.pem"),
          .other_key = file("other.key"),
          .alone = file("alone.pem"),
          .alone_key = file("alone.key"),
          .stranger_chain = file("stranger.pem"),
          .stranger_key = file("stranger.key"),
          .middle = file("middle.pem"),
          .short_chain = file("short-chain.pem"),
          .short_key = file("short.key"),
          .old_chain = file("old-chain.pem"),
          .old_key = file("old.key")};
}

}  // namespace

WallTime today() { return std::chrono::system_clock::now(); }

const TestFiles& files() {
  static const TestFiles made = make();
  return made;
}

Certificate made_of(std::string_view name, const std::string& chain, const std::string& key) {
  FixedWorld world{today() + std::chrono::minutes{1}};
  auto certificate = read_certificate(name, as_bytes(chain), as_bytes(key), world);
  if (!certificate) {
    ADD_FAILURE() << name << ": " << certificate.error().reason;
    std::abort();
  }
  return std::move(*certificate);
}

}  // namespace ringpost::tls::testing
