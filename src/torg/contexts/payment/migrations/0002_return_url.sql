-- Asked again, the acquirer is asked with the same words, at whatever address the shop is by then. Empty: filed before this was kept.
alter table errand add column return_url text not null default '';
