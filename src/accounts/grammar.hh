// What may stand in the file of accounts, for those who read it and those who change it.
#pragma once

#include <string>
#include <string_view>

#include "ringpost/accounts/accounts.hh"

namespace ringpost::accounts {

/// 1..kLoginBytesMax octets, prepared (SASLprep) already, without blanks.
bool is_login(std::string_view text);
/// Of app passwords and scopes: a-z, 0-9, hyphens within; 1..kNameBytesMax.
bool is_name(std::string_view text);
/// Without controls, or blanks at its ends; 0..kNoteBytesMax octets.
bool is_note(std::string_view text);
/// A mailbox, or "@domain".
bool is_sender(std::string_view text);
/// Name, scope and the number of networks are as they must be.
bool is_sound(const AppPassword& app_password);

/// The name in a password that has the form of an app password; empty: it has not.
std::string_view name_in_app_password(std::string_view password);

}  // namespace ringpost::accounts
