-- Text as IT Glue's text boxes take it: they hold HTML.
CREATE OR REPLACE TEMP MACRO as_html(value) AS
    replace(replace(replace(value, '&', '&amp;'), '<', '&lt;'), '>', '&gt;')
