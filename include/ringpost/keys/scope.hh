// Whose key and for what: the vocabulary of the key tree.
#pragma once

#include <cstdint>

#include "ringpost/base/id.hh"

namespace ringpost::keys {

/// What a scope key belongs to. Numbers are part of the formats.
enum class ScopeKind : std::uint8_t { shared = 1, organisation = 2, user = 3 };

/// What the mail is. A class has keys of its own, so that a class can be erased by destroying keys.
enum class KeyClass : std::uint8_t { incoming = 1, outgoing = 2, held = 3, temporary = 4 };

/// A keyed hash of the owner's name (never the name); zero exactly for the shared scope.
using OwnerId = Id<struct OwnerIdTag>;

struct Scope {
  ScopeKind kind = ScopeKind::shared;
  OwnerId owner;
  friend bool operator==(const Scope&, const Scope&) = default;
};

inline constexpr bool is_valid(ScopeKind kind) { return kind >= ScopeKind::shared && kind <= ScopeKind::user; }
inline constexpr bool is_valid(KeyClass value) { return value >= KeyClass::incoming && value <= KeyClass::temporary; }
inline bool is_valid(const Scope& scope) {
  return is_valid(scope.kind) && scope.owner.is_zero() == (scope.kind == ScopeKind::shared);
}

}  // namespace ringpost::keys
