-- The key (its thumbprint) that a program's tokens are bound to; empty where whoever has them may use them.

alter table oauth_grant add column bound_to text not null default '';
