"""The page on which people use the workspace, and the JSON behind it.

Reading order: page_json, feed, routes.
"""
