"""Tables of users, read one way whatever they hold: files, cells, names, arithmetic on columns, joins."""
