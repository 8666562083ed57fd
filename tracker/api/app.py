"""The Litestar application of the api role."""

from __future__ import annotations

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig

from tracker import __version__, dashboard
from tracker.api import (
    accounts,
    api_keys,
    audit,
    delivery_health,
    delivery_log,
    docs,
    explain,
    exports,
    health,
    inventory,
    link_figures,
    link_tags,
    members,
    pixels,
    pools,
    postbacks,
    protection,
    reports,
    sessions,
    smart_link_lists,
    smart_links,
    stats,
    team,
    trials,
    webhook_settings,
    webhooks,
    whoami,
)
from tracker.api.auth import Gate, add_headers, caller
from tracker.api.errors import HANDLERS
from tracker.inbox.keeper import Keeper
from tracker.management.services import Services
from tracker.metrics.pulse import Pulse

ROUTES = (
    accounts.create_account,
    accounts.list_accounts,
    accounts.get_account,
    smart_links.create_smart_link,
    smart_links.list_smart_links,
    smart_links.get_smart_link,
    smart_links.change_smart_link,
    smart_links.delete_smart_link,
    explain.explain_credit,
    exports.export,
    protection.create_erasure,
    protection.list_erasures,
    protection.get_erasure,
    pools.list_pools,
    postbacks.create_postback,
    postbacks.list_postbacks,
    postbacks.get_postback,
    postbacks.change_postback,
    postbacks.delete_postback,
    pixels.create_connection,
    pixels.list_connections,
    pixels.get_connection,
    pixels.change_connection,
    pixels.delete_connection,
    pixels.list_networks,
    delivery_health.delivery_health,
    trials.send_test_event,
    accounts.change_account,
    accounts.reconnect_account,
    accounts.list_vendor_accounts,
    accounts.disconnect_account,
    smart_links.smart_link_history,
    stats.smart_link_stats,
    stats.smart_link_cohorts,
    *reports.ROUTES,
    link_tags.list_link_tags,
    link_tags.list_smart_link_tags,
    link_tags.add_smart_link_tags,
    link_tags.remove_smart_link_tags,
    delivery_log.list_deliveries,
    delivery_log.list_connection_deliveries,
    delivery_log.replay_deliveries,
    delivery_log.replay_connection,
    delivery_log.list_all_deliveries,
    delivery_log.get_delivery,
    delivery_log.replay_destination,
    delivery_log.forecast_replay,
    trials.send_test_postback,
    *sessions.ROUTES,
    *team.ROUTES,
    *members.ROUTES,
    *api_keys.ROUTES,
    *audit.ROUTES,
    smart_link_lists.smart_link_clicks,
    smart_link_lists.smart_link_conversions,
    smart_link_lists.smart_link_fans,
    smart_link_lists.smart_link_spenders,
    inventory.list_tracking_links,
    inventory.list_trial_links,
    inventory.list_stored_tracking_links,
    inventory.list_stored_trial_links,
    inventory.create_tracking_link,
    inventory.create_trial_link,
    inventory.get_link,
    inventory.delete_link,
    link_figures.list_link_subscribers,
    link_figures.list_link_spenders,
    link_figures.link_stats,
    link_figures.link_cohorts,
    link_figures.list_inventory_tags,
    link_figures.add_inventory_tags,
    link_figures.remove_inventory_tags,
    webhook_settings.create_webhook,
    webhook_settings.list_webhooks,
    webhook_settings.list_webhook_events,
    webhook_settings.get_webhook,
    webhook_settings.change_webhook,
    webhook_settings.delete_webhook,
    webhook_settings.webhook_example,
    webhook_settings.list_webhook_deliveries,
    webhook_settings.redeliver_webhook,
    whoami.whoami,
    webhooks.receive_webhook,
    docs.documentation,
    docs.style,
    docs.script,
    health.live,
    health.ready,
    health.metrics,
    *dashboard.ROUTES,
)


def create_app(services: Services) -> Litestar:
    """The application on opened stores."""

    async def give_services() -> Services:
        return services

    keeper = Keeper(services.pool)

    async def give_keeper() -> Keeper:
        return keeper

    gate = Gate(services)
    pulse = Pulse(services.settings, services.pool, services.redis)
    return Litestar(
        route_handlers=list(ROUTES),
        guards=[gate.guard],
        lifespan=[pulse.running()],
        state=State({"gate": gate, "pulse": pulse}),
        before_send=[add_headers],
        dependencies={"services": Provide(give_services), "keeper": Provide(give_keeper), "caller": Provide(caller)},
        exception_handlers=HANDLERS,
        # The schema itself only: the usual pages around it load scripts from other hosts.
        openapi_config=OpenAPIConfig(
            title="Clickbind",
            version=__version__,
            render_plugins=[docs.Schema()],
            use_handler_docstrings=True,
            openapi_router=Router("/schema", route_handlers=[], opt={"permission": "public"}),
        ),
        request_max_body_size=1 << 20,
        logging_config=None,  # structlog is set up by the command
        debug=False,
        pdb_on_exception=False,
    )
