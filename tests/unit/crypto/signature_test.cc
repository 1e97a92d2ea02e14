#include "ringpost/crypto/signature.hh"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ringpost/base/base64.hh"

namespace ringpost::crypto {
namespace {

std::vector<std::byte> decoded(std::string_view text) {
  std::vector<std::byte> bytes(base64_bytes_max(text.size()));
  bytes.resize(*decode_base64(text, bytes, Base64::url));
  return bytes;
}

struct Vector {
  bool (*verify)(const Vector&);
  std::vector<std::byte> first, second, signature;
  std::string message;
};

bool rsa(const Vector& v) { return verify_rsa_sha256(v.first, v.second, as_bytes(v.message), v.signature); }
bool p256(const Vector& v) { return verify_p256_sha256(v.first, v.second, as_bytes(v.message), v.signature); }
bool ed25519(const Vector& v) { return verify_ed25519(v.first, as_bytes(v.message), v.signature); }

const std::string kClaims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

const Vector kVectors[] = {
    // RFC 7515 appendix A.2
    {rsa,
     decoded("ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-"
             "pCgNMsD1W_"
             "YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-"
             "UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3q"
             "Co5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"),
     decoded("AQAB"),
     decoded("cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
             "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
             "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
             "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rq"
             "Vt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"),
     "eyJhbGciOiJSUzI1NiJ9." + kClaims},
    // RFC 7515 appendix A.3
    {p256, decoded("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"), decoded("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
     decoded("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"),
     "eyJhbGciOiJFUzI1NiJ9." + kClaims},
    // RFC 8037 appendix A.4
    {ed25519,
     decoded("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
     {},
     decoded("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"),
     "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"},
};

TEST(Signature, those_of_the_standards_are_good) {
  for (const Vector& vector : kVectors) EXPECT_TRUE(vector.verify(vector)) << vector.message;
}

TEST(Signature, no_octet_of_message_signature_or_key_may_change) {
  for (const Vector& good : kVectors) {
    const auto spoilt = [&](auto field, std::size_t step) {
      for (std::size_t at = 0; at < (good.*field).size(); at += step) {
        Vector bad = good;
        auto& octet = (bad.*field)[at];
        octet = static_cast<std::remove_reference_t<decltype(octet)>>(static_cast<unsigned char>(octet) ^ 1U);
        EXPECT_FALSE(bad.verify(bad)) << at << " of " << good.message;
      }
    };
    spoilt(&Vector::message, 7);
    spoilt(&Vector::signature, 5);
    spoilt(&Vector::first, 5);
  }
}

TEST(Signature, sizes_that_do_not_fit_are_bad) {
  for (const Vector& good : kVectors)
    for (auto field : {&Vector::first, &Vector::second, &Vector::signature})
      for (std::size_t size : {std::size_t{0}, (good.*field).size() - 1, (good.*field).size() + 1, std::size_t{2000}}) {
        if ((good.*field).empty() || (field == &Vector::second && size == 2)) continue;
        Vector bad = good;
        (bad.*field).resize(size);
        EXPECT_FALSE(bad.verify(bad)) << size;
      }
}

TEST(Signature, keys_and_signatures_of_zeros_are_bad) {
  for (const Vector& good : kVectors) {
    Vector bad = good;
    bad.signature.assign(bad.signature.size(), std::byte{});
    EXPECT_FALSE(bad.verify(bad));
    bad = good;
    bad.first.assign(bad.first.size(), std::byte{});
    bad.second.assign(bad.second.size(), std::byte{});
    EXPECT_FALSE(bad.verify(bad));
  }
}

}  // namespace
}  // namespace ringpost::crypto
