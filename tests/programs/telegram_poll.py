"""python-telegram-bot: polls for messages, and answers each, until it is told to stop."""

import logging
import sys

from telegram.ext import Application, MessageHandler, filters


async def answer(update, context):
    print(update.message.text)
    await update.message.reply_text(update.message.text.upper())
    if update.update_id == 2:
        context.application.stop_running()


logging.getLogger("telegram").setLevel(logging.CRITICAL)
application = Application.builder().token("1:secret").base_url(f"http://{sys.argv[1]}:{sys.argv[2]}/bot").build()
application.add_handler(MessageHandler(filters.TEXT, answer))
application.run_polling()
