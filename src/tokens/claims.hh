// Claims of a token or an answer, against what is demanded.
#pragma once

#include <expected>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/tokens/owner.hh"

namespace ringpost::tokens {

/// Nothing: not JSON, or not an object.
std::optional<nlohmann::json> parse_object(std::string_view text);
/// A member that is a string; null: it is missing or something else.
const std::string* string_member(const nlohmann::json& object, std::string_view name);
/// base64url without padding. Nothing: it is not.
std::optional<std::vector<std::byte>> decode_url(std::string_view text);

enum class Source : bool { jwt, introspection };

std::expected<Owner, TokenFault> owner_of(const nlohmann::json& claims, const Demands& demands, Source source);

}  // namespace ringpost::tokens
