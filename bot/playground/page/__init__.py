"""The page on which people use the workspace, and the JSON API behind it.

Reading order: page_json, feed, page_request, page_actions, traffic, inspector, routes.
"""
