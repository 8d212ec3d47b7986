-- The auditor counts a day's sales anew.

create index sale_by_day on sale (day, revenue, order_id);
