"""Every request, answer and event of the platform's API, described once.

The API is made of these models, OpenAPI of the API, the TypeScript types of OpenAPI; the Python
client and the commands use them as they are. They depend on pydantic alone.
"""
