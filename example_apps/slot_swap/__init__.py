"""A web application with a sign-in, run in two deployment slots that are swapped while somebody is signed in.

Started by ``dpm demo slot-swap``. Everything is real: two server processes, each with the environment that an App
Service slot has, a front that swaps them, a client with a cookie jar. The walk::

    slot.py      one slot: its folder, its environment, its server process and log
    site.py      what runs in it: the application, and the middleware that protects its session
    front.py     the load balancer: the name *production* leads to one slot, and can be moved
    visitor.py   somebody with a browser: a cookie jar that signs in and comes back
    story.py     the four runs, what the documentation says of each, what happened
    page.py      what is shown in the browser
"""
