-- name: links_wanting_clicks
-- Smart links with a destination that wants to be told of clicks. Few, or none: most destinations want conversions only.
SELECT l.smart_link_id FROM destinations d JOIN destination_links l USING (destination_id)
WHERE 'click' = ANY (d.event_types) AND d.scope = 'campaign_specific' AND d.state IN ('active', 'paused')
UNION
SELECT s.smart_link_id FROM destinations d JOIN smart_links s USING (team_id)
WHERE 'click' = ANY (d.event_types) AND d.scope = 'global' AND d.state IN ('active', 'paused');

-- name: click_facts
-- What is told of clicks just stored. $2: the least of them, which names the partitions to look into.
SELECT c.click_id, c.ecid, c.fbclid, c.gclid, c.gbraid, c.wbraid, c.ttclid, c.sccid, c.utm_source, c.utm_medium, c.utm_campaign,
       c.utm_term, c.utm_content, c.aff_s1, c.aff_s2, c.aff_s3, c.aff_s4, c.aff_s5, c.country, s.smart_link_id, s.name AS smart_link_name,
       c.clicked_at, host(c.ip) AS ip, c.user_agent, c.landing_url, c.referrer, c.fbp, c.fbc, c.ttp, c.scid,
       a.account_id, a.provider_account_id, a.platform_user_id, a.username, a.display_name, s.team_id
FROM clicks c JOIN smart_links s USING (smart_link_id) JOIN accounts a ON a.account_id = c.account_id
WHERE c.click_id = ANY ($1::text[]) AND c.click_id >= $2;
