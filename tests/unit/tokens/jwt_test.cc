#include "ringpost/tokens/jwt.hh"

#include <gtest/gtest.h>

#include "support.hh"

namespace ringpost::tokens {
namespace {

// Made with Python's cryptography.
constexpr std::string_view kRsaKey =
    R"({"kty":"RSA","kid":"r","use":"sig","alg":"RS256","e":"AQAB","n":")"
    "xuJ9hDFL15oNz7br00rV51CtZp-Qe2Pw5FVNPZuZH_zdeFJl5GiwXYW8P8pHNx_NofdoO95waQV6siBX0-4_4etoFKZBHcwhSL_9x1SUlr7Ot1i1ZlZ7w1es"
    "pWKj3jBWBq_etz6gXAx7LdbABP6OrA7LfdQZrTPVwrpepcUnLbJxCRg5QHqZEg5CSKziu88QJolAyJE7LeivJsNhhSgnxy6IGb_sfdPj_mzoqAq4mreJJgqm"
    "WxFgkQd743JA60ALfUvsd1D-vevECjCR0qyRsK90af7TkRAagAX7LH5VR_zJcNu-pLIkOTAv4N0f26FSTs2SN1u8RJcJLLW3DCKUzw"
    R"("})";
constexpr std::string_view kRsaToken =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOlsibWFpbCIsIngiXSwiZW1haWwiOiJhbGljZUBle"
    "GFtcGxlLm9yZyIsImV4cCI6MTgwMDAwMDAwMH0.kpTAK03JnUFRNeoxLBMKroVrXHTFgsvpIu8xUNBjadK-DN45iQEzZRukrAAy7-tOdaA_Jl1hIbbXsO8g0"
    "DKSBwOV4BcSCpcrCYJuMXHUCQI0P_3OxxPBRVicg3kIEuKkCSDORYaVUW3evFQlQZSOHxhicPoLQIx8Z8jAH0iTUK6Ri_Eie-z2Cz2ZAfmVaZMQ_ULnxDHM9"
    "lpYzxmjQNl-QyLGFQqlK5zHP9NzTioxLRX7HqyU8Q7Gq2SmpfeML7TlaxP-1YdxWTfthEitVFwXNQgoC3UGhyCf8mpZSUfWhS2B6QKW7Z-VZeKNHNnIkVlAJ"
    "HawvLZRwEWT2QbCUGKCZw";
constexpr std::string_view kPssToken =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOlsibWFpbCIsIngiXSwiZW1haWwiOiJhbGljZUBle"
    "GFtcGxlLm9yZyIsImV4cCI6MTgwMDAwMDAwMH0.Q0jlhA5zvA9oSoDPq4CszaugWMvSDFgMwUJ5QBAJd0uNUfQlIgtmRJXIyNkygUc_SbDeXUPMrsyiEoKK9"
    "wi42UnKsUuTdZFbaVuF1QJujkSgowtXao1yKQ7smgfGzPHExXbrWRXmqIBkQ6Eis-oOa1y-IbUdkHLHJMrgPN0KM5rndbQ7x_K_-yd8rLMP4MiyNh14-qGCa"
    "MXgVblw-8FY10TdJs919hripUYi9yrCkw97DPtkYUL-p7ZL6DnJW27jYUkvBFGVo5zlVQ-f3MQJC0afUW9XBRYJYbwIhgttekQw4s4Wv2EQczok3jXw5_Nzh"
    "xdI9KfTf2zdN0Jz8RhcCQ";
constexpr std::string_view kSha1Token =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOlsibWFpbCIsIngiXSwiZW1haWwiOiJhbGljZUBle"
    "GFtcGxlLm9yZyIsImV4cCI6MTgwMDAwMDAwMH0.hmDm5pvS6-gSh4us0u1XlbxuPFu5pDi4w2YvrjWFJUHH4SL4PdVLKaI_PMU93aSPSP8OOzDj6TYpoSwTJ"
    "-PvlB7fMQclRuxpKfy75sN8rLwUiTKfadGXwSLR8xoc7A9xiRFeyx2sAtHcrKr9Q9vRz8ywLcDQDkwEQW8MethgHdgUbTaCx_HyPhn9VDZnHT0T9_Zji2uWl"
    "OfygbQOuQtvf5uQ4GECRlI059M_B5PumrXmkAMUPR-DXr-FY8Og8TA69Y1i2RY9bLUydrO8wV6g04rzzqpk23szunFtgbfgDEPbStr_xKPGFzUaKW1kQApEu"
    "X6G7o4oZAxzRrwplbirOw";
constexpr std::string_view kEcKey =
    R"({"kty":"EC","crv":"P-256","x":"5YCsmSKSGU3IcJ7NuADrGAJxXOs6cs7ZWZVNtHUaP1c","y":"a063Ruly-0mYUK0ZHloCWngFWYgnvVw7hdtDUeBCA_8"})";
constexpr std::string_view kEcToken =
    "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOlsibWFpbCIsIngiXSwiZW1haWwiOiJhbGl"
    "jZUBleGFtcGxlLm9yZyIsImV4cCI6MTgwMDAwMDAwMH0.UZKiXfjrGcPUXa6Nz3GbSHnqSvziwTah8sW5h5PGOPD-PM7yDZkcZhzPNWgQ8UUDkXKsykB0fiC"
    "o2RgyaQeUTw";

const std::string kClaims = R"({"iss":"https://id.example","aud":["mail","x"],"email":"alice@example.org","exp":1800000000})";
const std::string kHeader = R"({"alg":"EdDSA","kid":"ed"})";

std::vector<Key> keys_of(std::string_view keys) { return parse_key_set(set_of(keys)).value(); }
std::string checked(std::string_view token, const Demands& wanted = demands(), std::string_view keys = kIssuerKey) {
  return told(check_jwt(token, keys_of(keys), wanted));
}
std::string with_claims(std::string_view claims, const Demands& wanted = demands()) {
  return checked(signed_by_issuer(kHeader, claims), wanted);
}
std::string with_header(std::string_view header, std::string_view keys = kIssuerKey) {
  return checked(signed_by_issuer(header, kClaims), demands(), keys);
}

TEST(Jwt, signatures_of_other_programs_are_good) {
  const std::string all = std::string{kRsaKey} + ',' + std::string{kEcKey} + ',' + std::string{kIssuerKey};
  for (std::string_view token : {kRsaToken, kEcToken})
    EXPECT_EQ(checked(token, demands(), all), "alice@example.org until 1800000000");
  EXPECT_EQ(checked(signed_by_issuer(kHeader, kClaims), demands(), all), "alice@example.org until 1800000000");
  EXPECT_EQ(checked(kPssToken, demands(), all), "fault signature");
  EXPECT_EQ(checked(kSha1Token, demands(), all), "fault signature");
}

TEST(Jwt, the_key_is_the_one_named_and_the_algorithm_is_its_own) {
  EXPECT_EQ(with_header(R"({"alg":"EdDSA"})"), "alice@example.org until 1800000000");
  EXPECT_EQ(with_header(R"({"alg":"Ed25519","kid":"ed"})"), "alice@example.org until 1800000000");
  EXPECT_EQ(with_header(R"({"alg":"EdDSA","kid":"other"})"), "fault unknown_key");
  EXPECT_EQ(with_header(R"({"alg":"EdDSA","kid":7})"), "fault malformed");
  EXPECT_EQ(with_header(R"({"alg":"EdDSA"})", kRsaKey), "fault unknown_key");
  EXPECT_EQ(with_header(R"({"alg":"RS256","kid":"ed"})"), "fault unknown_key");
  EXPECT_EQ(with_header(R"({"alg":"RS256","kid":"r"})", kRsaKey), "fault signature");
  for (const char* algorithm : {"none", "None", "", "HS256", "RS384", "PS256", "ES512", "eddsa"})
    EXPECT_EQ(with_header(R"({"alg":")" + std::string{algorithm} + R"(","kid":"ed"})"), "fault algorithm") << algorithm;
  EXPECT_EQ(with_header(R"({"kid":"ed"})"), "fault algorithm");
  EXPECT_EQ(with_header(R"({"alg":["EdDSA"],"kid":"ed"})"), "fault algorithm");
}

TEST(Jwt, what_the_token_brings_along_makes_it_trusted_by_nobody) {
  const std::string own = R"({"alg":"EdDSA","jwk":)" + std::string{kIssuerKey} + R"(,"jku":"https://evil.example/"})";
  EXPECT_EQ(with_header(own, kEcKey), "fault unknown_key");
  EXPECT_EQ(with_header(own), "alice@example.org until 1800000000");
}

TEST(Jwt, other_kinds_of_token_and_what_is_critical_are_refused) {
  for (const char* type : {"JWT", "jwt", "at+jwt", "application/at+jwt", "Application/JWT"})
    EXPECT_EQ(with_header(R"({"alg":"EdDSA","typ":")" + std::string{type} + R"("})"), "alice@example.org until 1800000000")
        << type;
  for (const char* type : {"", "dpop+jwt", "logout+jwt", "application/", "text/JWT"})
    EXPECT_EQ(with_header(R"({"alg":"EdDSA","typ":")" + std::string{type} + R"("})"), "fault malformed") << type;
  EXPECT_EQ(with_header(R"({"alg":"EdDSA","typ":1})"), "fault malformed");
  EXPECT_EQ(with_header(R"({"alg":"EdDSA","crit":["exp"]})"), "fault malformed");
  EXPECT_EQ(with_header(R"({"alg":"EdDSA","b64":false,"crit":["b64"]})"), "fault malformed");
}

TEST(Jwt, times_count_with_a_little_patience) {
  const auto at = [](std::int64_t now, std::string_view claims) {
    Demands wanted = demands();
    wanted.now = second(now);
    return with_claims(R"({"iss":"https://id.example","aud":"mail","email":"a",)" + std::string{claims} + "}", wanted);
  };
  EXPECT_EQ(at(1059, R"("exp":1000)"), "a until 1000");
  EXPECT_EQ(at(1060, R"("exp":1000)"), "fault expired");
  EXPECT_EQ(at(1059, R"("exp":1000.9)"), "a until 1000");
  EXPECT_EQ(at(1, R"("exp":1e300)"), "a until 253402300799");
  EXPECT_EQ(at(100, R"("exp":-1)"), "fault expired");
  EXPECT_EQ(at(100, R"("exp":"1000")"), "fault malformed");
  EXPECT_EQ(at(100, R"("exp":null)"), "fault malformed");
  EXPECT_EQ(at(100, R"("iat":1)"), "fault malformed");
  EXPECT_EQ(at(140, R"("exp":1000,"nbf":200)"), "a until 1000");
  EXPECT_EQ(at(139, R"("exp":1000,"nbf":200)"), "fault not_yet_valid");
  EXPECT_EQ(at(139, R"("exp":1000,"nbf":true)"), "fault malformed");
}

TEST(Jwt, issuer_audience_and_scope_are_as_demanded) {
  const auto from = [](std::string_view claims, std::string_view audience = "mail", std::string_view scope = "") {
    Demands wanted = demands();
    wanted.audience = audience;
    wanted.scope = scope;
    return with_claims(R"({"email":"a","exp":1800000000,)" + std::string{claims} + "}", wanted);
  };
  const std::string good = "a until 1800000000", issued = R"("iss":"https://id.example",)";
  EXPECT_EQ(from(issued + R"("aud":"mail")"), good);
  EXPECT_EQ(from(issued + R"("aud":["x",1,"mail"])"), good);
  for (const char* claims : {R"("aud":"mail")", R"("aud":"mail","iss":"https://id.example/")",
                             R"("aud":"mail","iss":"HTTPS://id.example")", R"("aud":"mail","iss":["https://id.example"])"})
    EXPECT_EQ(from(claims), "fault issuer") << claims;
  for (const char* claims : {R"("x":1)", R"("aud":"mai")", R"("aud":"mail2")", R"("aud":[])", R"("aud":["Mail"])",
                             R"("aud":{"mail":1})", R"("aud":null)"})
    EXPECT_EQ(from(issued + claims), "fault audience") << claims;
  EXPECT_EQ(from(issued + R"("x":1)", ""), good);
  for (const char* claims : {R"("scope":"smtp.send")", R"("scope":"openid smtp.send email")", R"("scp":["openid","smtp.send"])",
                             R"("scp":"smtp.send")"})
    EXPECT_EQ(from(issued + claims, "", "smtp.send"), good) << claims;
  for (const char* claims :
       {R"("x":1)", R"("scope":"")", R"("scope":"smtp.send2 smtp")", R"("scope":"SMTP.send")", R"("scp":[1])", R"("scope":7)"})
    EXPECT_EQ(from(issued + claims, "", "smtp.send"), "fault scope") << claims;
}

TEST(Jwt, the_login_is_what_the_operator_says_it_is) {
  const auto of = [](std::string_view claims, std::string_view claim = "email") {
    Demands wanted = demands();
    wanted.login_claim = claim;
    return with_claims(R"({"iss":"https://id.example","aud":"mail","exp":1800000000,)" + std::string{claims} + "}", wanted);
  };
  EXPECT_EQ(of(R"("sub":"248289761001")", "sub"), "248289761001 until 1800000000");
  EXPECT_EQ(of(R"("email":"a@x.example","email_verified":true)"), "a@x.example until 1800000000");
  EXPECT_EQ(of(R"("email":"a@x.example","email_verified":"true")"), "a@x.example until 1800000000");
  EXPECT_EQ(of(R"("sub":"a","email_verified":false)", "sub"), "a until 1800000000");
  for (const char* claims :
       {R"("email":"a@x.example","email_verified":false)", R"("email":"a@x.example","email_verified":"false")",
        R"("email":"a@x.example","email_verified":null)", R"("sub":"a")", R"("email":"")", R"("email":7)", R"("email":["a"])",
        R"("email":"a\nb")", R"("email":"a\u0000b")"})
    EXPECT_EQ(of(claims), "fault login") << claims;
  EXPECT_EQ(of(R"("email":")" + std::string(255, 'a') + "\"").substr(0, 3), "aaa");
  EXPECT_EQ(of(R"("email":")" + std::string(256, 'a') + "\""), "fault login");
}

TEST(Jwt, what_is_no_token_is_malformed) {
  const std::string token = signed_by_issuer(kHeader, kClaims);
  const std::size_t first = token.find('.'), last = token.rfind('.');
  for (const std::string& bad :
       {std::string{}, std::string{"."}, std::string{".."}, token.substr(0, last), token + ".", "." + token, token + '=',
        token + ' ', ' ' + token, token.substr(0, first) + '.' + token, std::string(kTokenBytesMax + 1, 'a')})
    EXPECT_EQ(checked(bad), "fault malformed") << bad.substr(0, 200);
  for (const char* header : {"", "x", "[]", "null", "{\"alg\":\"EdDSA\"", "{\"alg\":\"EdDSA\"}x", "{\"alg\":\"EdDSA\xff\"}"})
    EXPECT_EQ(with_header(header), "fault malformed") << header;
  for (const char* claims : {"", "x", "[]", "7", "{\"exp\":1800000000"})
    EXPECT_EQ(with_claims(claims), "fault malformed") << claims;
  EXPECT_EQ(with_claims(std::string(5000, '[')), "fault malformed");
}

TEST(Jwt, no_character_of_it_may_change) {
  const std::string token = signed_by_issuer(kHeader, kClaims);
  for (std::size_t at = 0; at < token.size(); ++at) {
    std::string bad = token;
    bad[at] = bad[at] == 'A' ? 'B' : 'A';
    EXPECT_EQ(checked(bad).substr(0, 5), "fault") << at;
  }
}

TEST(KeySet, keys_we_cannot_use_are_passed_over) {
  const auto count = [](const std::string& keys) { return keys_of(keys).size(); };
  const std::string ed = R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")";
  EXPECT_EQ(count(""), 0U);
  EXPECT_EQ(count(std::string{kRsaKey} + ',' + std::string{kEcKey} + ',' + std::string{kIssuerKey}), 3U);
  EXPECT_EQ(count(ed + R"(,"key_ops":["sign","verify"],"use":"sig","alg":"Ed25519"})"), 1U);
  for (const char* more : {R"(,"use":"enc"})", R"(,"alg":"ES256"})", R"(,"alg":null})", R"(,"key_ops":["sign"]})",
                           R"(,"key_ops":"verify"})", R"(,"kty":"EC"})", R"(,"crv":"Ed448"})", R"(,"x":"11qY"})", R"(,"x":7})",
                           R"(,"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="})"})
    EXPECT_EQ(count(ed + more), 0U) << more;
  EXPECT_EQ(count(R"(7,"x",[],{},{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"AQAB","e":"AQAB"})"), 0U);
  EXPECT_EQ(count(R"({"kty":"RSA","e":"AQAB","n":")" + std::string(342, 'A') + "\"}"), 0U);  // leading zeros
  std::string many = std::string{kIssuerKey};
  for (std::size_t i = 0; i < kKeysMax; ++i) many += ',' + std::string{kIssuerKey};
  EXPECT_EQ(count(many), kKeysMax);
}

TEST(KeySet, what_is_no_set_is_nothing) {
  for (const char* bad : {"", "{}", "[]", R"({"keys":{}})", R"({"keys":null})", R"({"keys":[])", R"({"Keys":[]})"})
    EXPECT_FALSE(parse_key_set(bad)) << bad;
  EXPECT_FALSE(parse_key_set(set_of(std::string(kKeySetBytesMax, ' '))));
}

}  // namespace
}  // namespace ringpost::tokens
