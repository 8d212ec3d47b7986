-- The keys that tokens are signed with: what is private is sealed with the shop's secret.

create table signing_key (
    kid text primary key,
    public text not null,
    private text not null,
    made_at text not null,
    signs_from text not null,
    verifies_until text
);
