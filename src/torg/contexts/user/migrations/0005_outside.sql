-- Who somebody is at an OpenID provider outside, once it is certain that it is them.

create table outside_identity (
    issuer text not null,
    subject text not null,
    user_id text not null references users (id),
    linked_at text not null,
    primary key (issuer, subject)
);

create index outside_identity_of_user on outside_identity (user_id);
